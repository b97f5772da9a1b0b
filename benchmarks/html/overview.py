"""The overview of the page: its tables, the points of its plots, and the runs behind each row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd

from benchmarks.cli import HIGHLIGHT
from benchmarks.html.papers import papers
from benchmarks.published import GROUP_MEAN
from benchmarks.tables.headings import heading
from benchmarks.tables.intervals import SAMPLES, means
from benchmarks.tables.table import Table

# column, name, unit, aggregate over the runs of a row
AXES = tuple(csv.reader((files("benchmarks.html") / "axes.csv").read_text().splitlines()[1:]))
TIPS = dict(csv.reader((files("benchmarks.html") / "columns.csv").read_text().splitlines()[1:]))
FIRST = (
    "source",
    "mean",
    "95 % interval",
    "against best",
    "params",
)  # columns of a table of accuracies; its tasks follow
PER_DEVICE = {name for name, *_ in AXES if name.startswith("cost.") and "flops" not in name}
FACTS = (
    *("row", "spec.method", "suite", "spec.backbone.modality", "spec.backbone.name", "accuracy.checkpoint_rule"),
    *("spec.suite", "spec.task", "spec.seed", "accuracy.test", SAMPLES, "metric", "environment.device"),
)


def overview(
    groups: Sequence[pd.DataFrame], made: Sequence[Table], highlight: str = HIGHLIGHT
) -> tuple[list[dict[str, Any]], list[int]]:
    """Make one section per table as JSON, and order the runs of ``groups`` by section and row.

    The rows of the method ``highlight`` stand out in plots. Returns the sections, and the index labels of the runs in
    that order. The runs of row i of a section are those from ``spans[i]`` to ``spans[i + 1]`` in that order.
    """
    left, facts = [(set(group["row"]), group) for group in groups], list(map(_facts, groups))
    sections: list[dict[str, Any]] = []
    order: list[int] = []
    for table in made:
        section = _section(table) | _named(table.title, facts)
        # the first table with the rows of a group is its table of accuracies, and gets its runs
        rows = list(table.cells.index)
        of_table = next((number for number, (names, _) in enumerate(left) if names == set(rows)), None)
        if of_table is not None:
            group = left.pop(of_table)[1]
            runs = _in_order(group, rows)
            ends = len(order) + runs["place"].value_counts().sort_index().cumsum()
            section |= _facts(runs) | {"spans": [len(order), *ends.tolist()], **_points(runs, rows)}
            section |= {"heading": heading(group), "highlighted": _of_method(runs, highlight)}
            section |= {"papers": papers(group, [axis["name"] for axis in section["accuracy"]])}
            order += runs.index.tolist()
        sections.append(section)
    return sections, order


def _named(title: str, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Find suite, modality and backbone in the title of a table, and the checkpoint rule if these leave only one."""
    words = title.replace(": ", ", ").split(", ")
    fields = ("suite", "modality", "backbone")
    named = {name: word for name in fields for word in words if word in {f[name] for f in facts}}
    rules = {f["rule"] for f in facts if named.items() <= f.items()}
    return named | ({"rule": rules.pop()} if len(rules) == 1 else {})


def ordered(table: Table) -> list[str]:
    """Return the columns in the order of the page: the most asked first, then the tasks, then the others.

    A mean of the groups' means is left out if it is the mean in all rows.
    """
    names = list(map(str, table.cells))
    if "mean" not in names:
        return names
    if table.cells[GROUP_MEAN].equals(table.cells["mean"]):
        names.remove(GROUP_MEAN)
    first = [name for name in (*FIRST, *table.tasks) if name in names]
    return first + [name for name in names if name not in first]


def _tip(name: str, table: Table) -> str:
    """Return what a column shows, in one or two sentences; empty if nothing is known of it."""
    if name in table.tasks:
        return f"The test accuracy on the task {name} in percent, with the standard deviation over seeds."
    if name not in TIPS and name.endswith(" mean"):
        return f"The mean over the tasks of the group {name.removesuffix(' mean')}."
    return TIPS.get(name, "")


def _section(table: Table) -> dict[str, Any]:
    marked = table.best()
    return {
        "title": table.title,
        "notes": table.told,
        "head": table.cells.index.name or "method",
        "tip": TIPS.get(str(table.cells.index.name or "method"), ""),
        "rows": list(map(str, table.cells.index)),
        "columns": [
            {
                "name": name,
                "tip": _tip(name, table),
                "cells": list(map(str, table.cells[name])),
                "best": marked[name].to_numpy().nonzero()[0].tolist(),
                "rising": bool(table.values[name].notna().any()),
            }
            for name in ordered(table)
        ],
        "foot": [list(map(str, row)) for row in table.foot.reindex(columns=ordered(table)).itertuples()],
    }


def _in_order(group: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    needed = [name for name in (*FACTS, *(column for column, *_ in AXES)) if name in group]
    place = group["row"].map({row: number for number, row in enumerate(rows)})
    return group[needed].assign(place=place).sort_values(["place", "spec.task", "spec.seed"], kind="stable")


def _facts(runs: pd.DataFrame) -> dict[str, Any]:
    first = runs.iloc[0]
    return {
        "suite": first["suite"],
        "modality": first["spec.backbone.modality"],
        "backbone": first["spec.backbone.name"],
        "rule": first["accuracy.checkpoint_rule"],
        "seeds": int(runs["spec.seed"].nunique()),
    }


def _of_method(runs: pd.DataFrame, method: str) -> list[int]:
    """Return the places of the rows of a method; none if all rows are of it, because none would stand out."""
    places = runs.loc[runs["spec.method"] == method, "place"].unique().tolist()
    return places if len(places) < runs["place"].nunique() else []


def _points(runs: pd.DataFrame, rows: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of each row: accuracies in percent with half their 95 % interval, and costs."""
    return {
        "accuracy": _intervals(runs, rows),
        "costs": [
            {"name": name, "unit": unit, "values": _digits(values.reindex(list(rows)))}
            for name, unit, values in _costs(runs)
            if values.notna().any()
        ],
    }


def _costs(runs: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series[float]]]:
    """Yield name, unit and values of each recorded cost. Times and memory are split by device and never mixed."""
    devices = list(runs["environment.device"].dropna().unique()) if "environment.device" in runs else []
    for column, name, unit, how in AXES:
        if column not in runs:
            continue
        if column in PER_DEVICE and len(devices) > 1:
            for device in sorted(devices):
                some = runs[runs["environment.device"] == device]
                yield f"{name}, {device}", unit, some.groupby("row")[column].agg(how)
        else:
            yield name, unit, runs.groupby("row")[column].agg(how)


def _intervals(runs: pd.DataFrame, rows: Sequence[str]) -> list[dict[str, Any]]:
    mean, half, counts = (part.reindex(list(rows)) for part in means(runs))
    return [
        {
            "name": str(name),
            "values": _digits(mean[name]),
            "errors": _digits(half[name]),
            "seeds": counts[name].fillna(0).tolist(),
        }
        for name in mean
    ]


def _digits(values: pd.Series[float]) -> list[float | None]:
    """Round to six significant digits, more than a plot can show; NaN becomes None."""
    return [None if value != value else float(f"{value:.6g}") for value in values.astype(float)]
