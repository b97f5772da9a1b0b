"""The list of finished runs, by which a person finds the key of one."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.cli import visible
from benchmarks.records import store
from benchmarks.records.spec import stem_of
from benchmarks.tables.rows import names
from methods.errors import UserError, check, unknown

SHORT = 8  # digits of a key, if they tell all runs apart
OPTIONAL = {"suite": "spec.suite", "backbone": "spec.backbone.name"}  # columns that are shown if runs differ in them


def chosen(frame: pd.DataFrame, wanted: Mapping[str, Collection[str | int] | None]) -> pd.DataFrame:
    """Return the runs whose method, suite, task or seed is one of those that are wanted; None means all.

    Raises:
        UserError: no run has a wanted name, or no run has all that is wanted.
    """
    for field, values in wanted.items():
        known = set(frame[f"spec.{field}"])
        for value in values or ():
            check(value in known, unknown(field, str(value), map(str, known)))
    kept = frame
    for field, values in wanted.items():
        kept = kept if values is None else kept[kept[f"spec.{field}"].isin(list(values))]
    if kept.empty:
        raise UserError(f"none of {len(frame)} runs is of all that was asked for; ask for less")
    return kept


def table(frame: pd.DataFrame, results: Path) -> RichTable:
    """Make a table for a terminal with one row per run, the newest last."""
    when = [_written(results, row) for row in frame.to_dict("records")]
    frame = frame.assign(when=when, named=names(frame)).sort_values("when", kind="stable")
    short = frame["key"].str[:SHORT]
    columns = {"key": short if short.is_unique else frame["key"], "method": frame["named"]}
    columns |= {name: frame[field] for name, field in OPTIONAL.items() if frame[field].nunique() > 1}
    columns |= {"task": frame["spec.task"], "seed": frame["spec.seed"]}
    columns |= {"accuracy": frame["accuracy.test"].map("{:.1%}".format)}
    columns["written"] = frame["when"].map(lambda time: f"{datetime.fromtimestamp(time):%Y-%m-%d %H:%M}")
    rich = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        rich.add_column(name, no_wrap=name != "method", overflow="fold")
    for row in zip(*columns.values(), strict=True):
        rich.add_row(*(Text(visible(str(text))) for text in row))
    return rich


def _written(results: Path, row: Mapping[Hashable, Any]) -> float:
    """Return when a record was written, in seconds since 1970."""
    spec = {name: row[f"spec.{name}"] for name in ("suite", "task", "method", "seed")}
    return (results / store.RUNS / f"{stem_of(spec, row['key'])}.json").stat().st_mtime
