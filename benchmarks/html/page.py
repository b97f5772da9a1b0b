"""The HTML page: one file that holds data, scripts and style, with a policy that blocks every request.

The details of the runs are packed in pieces of RUNS runs. The page unpacks a piece when it needs it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import orjson
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from benchmarks.cli import HIGHLIGHT
from benchmarks.html.found import of_runs
from benchmarks.html.overview import overview
from benchmarks.records.command import assembled
from benchmarks.tables.reader import HISTORY, TEXTS
from benchmarks.tables.table import Table

SCRIPTS = (
    *("data.js", "address.js", "dom.js", "tip.js", "table.js", "labels.js", "plot.js", "runs.js", "report.js"),
    *("layout.js", "main.js"),
)
RUNS = 256  # per piece
DIGITS = 4  # significant digits of measured numbers; the records have all digits
# The first two are equal in all records; the other two repeat other fields.
LEFT_OUT = ("schema_version", "status", "spec.recipe", "history.epoch")


def render(
    frame: pd.DataFrame,
    groups: Sequence[pd.DataFrame],
    made: Sequence[Table],
    highlight: str = HIGHLIGHT,
    results: Path | None = None,
) -> str:
    """Make the page. ``groups`` are the runs of ``frame`` in groups of comparable runs, ``made`` their tables.

    The rows of the method ``highlight`` stand out in plots. The pages of runs that have kept their logits below
    ``results`` have a report.
    """
    sections, order = overview(groups, made, highlight)
    runs = frame.loc[order]
    runs = runs.assign(command=_commands(runs))
    if results is not None:
        runs = runs.assign(found=pd.Series(of_runs(results, runs), runs.index, dtype=object))
    data = orjson.dumps({"sections": sections, "piece": RUNS}).decode()
    script, theme, plotly = "\n".join(map(_file, SCRIPTS)), _file("theme.js"), get_plotlyjs()
    loader = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return loader.from_string(_file("page.html")).render(
        runs=len(runs),
        methods=frame["spec.method"].nunique(),
        comparisons=len(groups),
        hashes=" ".join(f"'sha256-{_digest(text)}'" for text in (theme, script, plotly)),
        style=Markup(_file("style.css")),
        theme=Markup(theme),
        script=Markup(script),
        data=Markup(data.replace("<", "\\u003c")),  # so that it cannot close the script element around it
        plotly=Markup(pack(plotly.encode(), 6)),
        keys=Markup(pack(orjson.dumps(_addresses(runs)))),
        pieces=map(Markup, pieces(runs)),
    )


def _addresses(runs: pd.DataFrame) -> list[str]:
    """The key of each run, with a number where a row above has the key, too: ours and a submitted one, or two rows."""
    numbers = runs.groupby("key").cumcount() + 1
    return [key if number == 1 else f"{key}~{number}" for key, number in zip(runs["key"], numbers, strict=True)]


def _commands(runs: pd.DataFrame) -> list[str]:
    """Return the command that trains each run again."""
    fields = ("method", "suite", "task", "seed", "dtype", "backbone.name", "backbone.modality", "config", "recipe")
    columns = [runs[f"spec.{name}"] for name in fields[:-2]]
    return list(map(assembled, *columns, runs["spec.config"].fillna("{}"), runs["spec.recipe"]))


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _file(name: str) -> str:
    return (files("benchmarks.html") / "page" / name).read_text(encoding="utf-8").strip()


def pack(text: bytes, level: int = 1) -> str:
    """Compress by gzip and encode in base64. Equal texts give equal results.

    Level 4 takes twice as long as level 1 and saves an eighth of the size.
    """
    return base64.b64encode(gzip.compress(text, level, mtime=0)).decode()


def pieces(frame: pd.DataFrame) -> Iterator[str]:
    """Pack the runs of ``frame`` in its order, RUNS per piece.

    A piece is a JSON object with one list per column, which has one value per run.
    """
    shown = frame.drop(columns=[name for name in LEFT_OUT if name in frame])
    for start in range(0, len(shown), RUNS):
        runs = shown.iloc[start : start + RUNS]
        yield pack(orjson.dumps({str(name): _values(str(name), runs[name]) for name in runs}))


def _values(name: str, column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column for JSON. NaN becomes null, and measured numbers are rounded."""
    values = column.tolist()
    if name == "found":
        return [text and orjson.Fragment(text) for text in values]
    if name in TEXTS:
        texts = [text if isinstance(text, str) else "null" for text in values]
        return [_rounded(orjson.loads(text)) if name == "report" else orjson.Fragment(text) for text in texts]
    if name.startswith(HISTORY):
        return [[*map(_round, curve.tolist())] if isinstance(curve, np.ndarray) else None for curve in values]
    return _rounded(values) if name.startswith("cost.") else values


def _rounded(value: Any) -> Any:
    """Round every float in a JSON value to DIGITS significant digits."""
    if isinstance(value, float):
        return _round(value)
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return {name: _rounded(part) for name, part in value.items()} if isinstance(value, dict) else value


def _round(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
