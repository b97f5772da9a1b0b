"""The table of accuracy against shots: one row per method, one column per number of training samples per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks import suites
from benchmarks.tables.accuracies import UNKNOWN, reported, spread
from benchmarks.tables.rows import scores, tasks_and_groups
from benchmarks.tables.table import Table, counted, notes


def tasks_by_shots(frame: pd.DataFrame) -> dict[int, list[str]]:
    """Return the tasks of comparable runs by their number of shots, ascending; empty without few-shot tasks."""
    suite = str(frame["spec.suite"].iloc[0])
    known = suites.get(suite).tasks if suite in suites.table() else {}
    found: dict[int, list[str]] = {}
    for task in tasks_and_groups(frame)[0]:
        if task in known and known[task].shots:
            found.setdefault(known[task].shots, []).append(task)
    return dict(sorted(found.items()))


def over_sets(frame: pd.DataFrame, by_shots: Mapping[int, Sequence[str]]) -> pd.DataFrame:
    """Return the mean over the sets in percent as (row and seed, shots); NaN where a seed lacks a set."""
    return pd.DataFrame({n: scores(frame, list(tasks)).dropna().mean(axis=1) for n, tasks in by_shots.items()})


def shots(frame: pd.DataFrame) -> list[Table]:
    """Make the table of one group of comparable runs, the highest mean first; no table without few-shot tasks."""
    by_shots = tasks_by_shots(frame)
    if not by_shots:
        return []
    seeds = over_sets(frame, by_shots).groupby("row")
    mean, deviation = seeds.mean(), seeds.std()
    texts: dict[str, Any] = {
        f"{n}-shot": pd.Series(list(map(spread, mean[n], deviation[n])), index=mean.index, dtype=object) for n in mean
    }
    cells = pd.DataFrame(texts)
    papers = reported(frame, tasks_and_groups(frame)[1]).reindex(cells.index)
    if (papers != "").any():
        cells["published"] = papers.replace("", UNKNOWN)
    order = (-mean.mean(axis=1)).sort_values(kind="stable").index
    cells = cells.loc[order].rename_axis("method")
    values = mean.round(1).rename(columns="{}-shot".format).loc[order].reindex(columns=cells.columns)
    first = frame.iloc[0]
    title = (
        f"{first['suite']}: accuracy against shots, {first['spec.backbone.modality']}, {first['spec.backbone.name']}"
    )
    return [Table(title, notes("shots", sets=_sets(by_shots)), cells, values.rename_axis("method"))]


def _sets(by_shots: Mapping[int, Sequence[str]]) -> str:
    if len({len(tasks) for tasks in by_shots.values()}) == 1:
        return counted(next(iter(by_shots.values())), "set")
    return ", ".join(f"{counted(tasks, 'set')} with {n} shots" for n, tasks in by_shots.items())
