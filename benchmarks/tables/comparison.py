"""Two rows of the tables against each other, in words, on every set of comparable runs that has both."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmarks.tables.statistics import MANY_RESAMPLES, Comparison, compare
from methods.errors import UserError, unknown

if TYPE_CHECKING:
    import pandas as pd


def lines(frame: pd.DataFrame, first: str, second: str) -> list[str]:
    """What the records say of two rows, each named as in the tables or, where that is one row alone, by its method.

    Raises:
        UserError: the two are one, or no set of comparable runs has such rows.
    """
    from benchmarks.tables.rows import comparable

    if first == second:
        raise UserError(f"--compare '{first}' with itself says nothing; name two rows of the leaderboard")
    groups = comparable(frame)
    for asked in (first, second):
        named = {str(row) for group in groups for row in group["row"]}
        if asked not in named | {str(method) for group in groups for method in group["spec.method"]}:
            raise UserError(unknown("row", asked, named))
    return [line for group in groups for line in _of_group(group, first, second)]


def _of_group(frame: pd.DataFrame, first: str, second: str) -> list[str]:
    run = frame.iloc[0]
    title = f"{run['spec.suite']}: {run['spec.backbone.modality']}, {run['spec.backbone.name']}"
    rows = []
    for asked in (first, second):
        found = _rows(frame, asked)
        if len(found) != 1:
            which = f"which of {_listed(found)}" if found else f"no runs of {asked}"
            return [f"{title}: not compared, {which}"]
        rows.append(found[0])
    differences = _differences(frame, *rows)
    if differences.empty:
        return [f"{title}: not compared, {rows[0]} and {rows[1]} have no task and seed in common"]
    return [f"{title}: {rows[0]} against {rows[1]}", *_told(compare(differences), differences, rows)]


def _rows(frame: pd.DataFrame, asked: str) -> list[str]:
    """The row of this name, or else those of the method of this name."""
    exact = frame["row"] == asked
    return sorted(set(frame.loc[exact if exact.any() else frame["spec.method"] == asked, "row"]))


def _differences(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """The first row's accuracy less the second's in points, (task, seed), NaN where either has no run."""
    from benchmarks.tables.scores import scores, tasks_and_groups

    tasks, _ = tasks_and_groups(frame)
    runs = scores(frame, tasks)
    gaps = (
        (runs.loc[[first]].droplevel(0) - runs.loc[[second]].droplevel(0)).dropna(how="all").dropna(how="all", axis=1)
    )
    return gaps.T


def _told(found: Comparison, differences: pd.DataFrame, rows: list[str]) -> list[str]:
    pairs = found.wins + found.ties + found.losses
    used = f"  pairs: {pairs}, of tasks {_listed(differences.index)} and seeds {_listed(differences.columns)}" + (
        ", not every one of both" if pairs < differences.size else ""
    )
    counted = f"  {rows[0]} wins {found.wins}, ties {found.ties}, loses {found.losses}"
    difference = f"  difference {found.difference:+.2f} points"
    superiority = f"  probability of superiority on one task and seed {found.superiority:.2f}"
    if math.isnan(found.over_tasks_and_seeds[0]):
        single = "no interval and no verdict: a task has fewer than two seeds in common"
        return [used, counted, difference, superiority, f"  {single}"]
    ahead, behind = rows if found.difference > 0 else rows[::-1]
    return [
        used,
        counted,
        difference,
        f"  its 95 % interval over tasks and seeds: {_interval(found.over_tasks_and_seeds)}, by paired bootstrap; "
        f"above 0 in {100 * found.resamples_better:.1f} % of {MANY_RESAMPLES:,} resamples",
        f"  its 95 % interval over seeds, on these very tasks: {_interval(found.over_seeds)}, by t",
        f"{superiority}, 95 % interval {found.superiority_interval[0]:.2f} to {found.superiority_interval[1]:.2f}",
        "  tied: an interval of the difference includes zero" if found.tied else f"  {ahead} is above {behind}",
    ]


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:+.2f} to {ends[1]:+.2f}"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))
