"""The HTML page: one file that holds data, scripts and style, with a policy that blocks every request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

import jinja2
import orjson
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from benchmarks.html.details import RUNS, pack, pieces
from benchmarks.html.overview import overview
from benchmarks.tables.table import Table

SCRIPTS = ("data.js", "dom.js", "table.js", "labels.js", "plot.js", "runs.js", "main.js")


def render(frame: pd.DataFrame, groups: Sequence[pd.DataFrame], made: Sequence[Table]) -> str:
    """Make the page. ``groups`` are the runs of ``frame`` in groups of comparable runs, ``made`` their tables."""
    sections, order = overview(groups, made)
    runs = frame.loc[order]
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
        keys=Markup(pack(orjson.dumps(runs["key"].tolist()))),
        pieces=map(Markup, pieces(runs)),
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _file(name: str) -> str:
    return (files("benchmarks.html") / "page" / name).read_text(encoding="utf-8").strip()
