"""A comparison of two rows of the tables in words, for every group of comparable runs that has both rows."""

import math
from collections.abc import Iterable

import pandas as pd

from benchmarks.tables.rows import comparable, scores, tasks_and_groups
from benchmarks.tables.statistics import MANY_RESAMPLES, Comparison, compare
from methods.errors import UserError, unknown


def lines(frame: pd.DataFrame, first: str, second: str) -> list[str]:
    """Compare two rows in every group of comparable runs.

    A row is given by its name in the tables, or by its method if the method has only one row.

    Raises:
        UserError: the two names are equal, or no group of comparable runs has such a row.
    """
    if first == second:
        raise UserError(f"--compare got '{first}' twice; give two different rows of the leaderboard")
    groups = comparable(frame)
    for asked in (first, second):
        named = {str(row) for group in groups for row in group["row"]}
        if asked not in named | {str(method) for group in groups for method in group["spec.method"]}:
            raise UserError(unknown("row", asked, named))
    return [line for group in groups for line in _of_group(group, first, second)]


def _of_group(frame: pd.DataFrame, first: str, second: str) -> list[str]:
    run = frame.iloc[0]
    title = f"{run['suite']}: {run['spec.backbone.modality']}, {run['spec.backbone.name']}"
    rows = []
    for asked in (first, second):
        found = _rows(frame, asked)
        if len(found) != 1:
            which = f"'{asked}' may mean {_listed(found)}" if found else f"there are no runs of {asked}"
            return [f"{title}: not compared, {which}"]
        rows.append(found[0])
    differences = _differences(frame, *rows)
    if differences.empty:
        return [f"{title}: not compared, {rows[0]} and {rows[1]} have no task and seed in common"]
    return [f"{title}: {rows[0]} against {rows[1]}", *_result(compare(differences), differences, rows)]


def _rows(frame: pd.DataFrame, asked: str) -> list[str]:
    """Return the row with this name, or else all rows of the method with this name."""
    exact = frame["row"] == asked
    return sorted(set(frame.loc[exact if exact.any() else frame["spec.method"] == asked, "row"]))


def _differences(frame: pd.DataFrame, first: str, second: str) -> pd.DataFrame:
    """Subtract the second row's accuracies from the first row's.

    The result is (task, seed) in percentage points, and NaN where either row has no run.
    """
    tasks, _ = tasks_and_groups(frame)
    runs = scores(frame, tasks)
    gaps = runs.loc[[first]].droplevel(0) - runs.loc[[second]].droplevel(0)
    return gaps.dropna(how="all").dropna(how="all", axis=1).T


def _result(found: Comparison, differences: pd.DataFrame, rows: list[str]) -> list[str]:
    pairs = found.wins + found.ties + found.losses
    missing = "; some combinations are missing" if pairs < differences.size else ""
    used = f"  pairs: {pairs}, of tasks {_listed(differences.index)} and seeds {_listed(differences.columns)}{missing}"
    counted = f"  {rows[0]} wins {found.wins}, ties {found.ties}, loses {found.losses}"
    difference = f"  difference {found.difference:+.2f} points"
    superiority = f"  probability of superiority on one task and seed {found.superiority:.2f}"
    if math.isnan(found.over_tasks_and_seeds[0]):
        single = "  no interval and no verdict, because a task has fewer than two seeds in common"
        return [used, counted, difference, superiority, single]
    ahead, behind = rows if found.difference > 0 else rows[::-1]
    tied = "tied: at least one interval of the difference includes zero"
    return [
        used,
        counted,
        difference,
        "  95 % interval of the difference over tasks and seeds (paired bootstrap): "
        f"{_interval(found.over_tasks_and_seeds)}; above 0 in {100 * found.resamples_better:.1f} % of "
        f"{MANY_RESAMPLES:,} resamples",
        f"  95 % interval of the difference over seeds, on these tasks alone (Student's t): "
        f"{_interval(found.over_seeds)}",
        f"{superiority}, 95 % interval {found.superiority_interval[0]:.2f} to {found.superiority_interval[1]:.2f}",
        f"  {tied if found.tied else f'{ahead} is above {behind}'}",
    ]


def _interval(ends: tuple[float, float]) -> str:
    return f"{ends[0]:+.2f} to {ends[1]:+.2f}"


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))
