"""Accuracies by row, seed and task, and the order of a suite's tasks."""

from __future__ import annotations

import pandas as pd

from benchmarks import suites


def scores(frame: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Return test accuracies in percent as (row and seed, task); NaN where a run is missing.

    ``dropna`` keeps the seeds of each row that have every task.
    """
    found = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test")
    return found.reindex(columns=tasks) * 100


def tasks_and_groups(frame: pd.DataFrame) -> tuple[list[str], dict[str, list[str]]]:
    """Return the tasks in the order of the suite, and the tasks of each group.

    If the suite is not installed, tasks are sorted by name and form one group.
    """
    present = sorted(frame["spec.task"].unique())
    suite = frame["spec.suite"].iloc[0]
    if suite not in suites.names():
        return present, {"all": present}
    known = suites.get(suite).tasks
    ordered = [task for task in known if task in present] + [task for task in present if task not in known]
    groups: dict[str, list[str]] = {}
    for task in ordered:
        groups.setdefault(known[task].group if task in known else "other", []).append(task)
    return ordered, groups
