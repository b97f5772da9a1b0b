"""The mean test accuracies of a sweep, which its own run has in MLflow."""

import re
from collections.abc import Set
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records import store
from benchmarks.tables.reader import to_frame
from benchmarks.tables.rows import comparable

UNKNOWN = re.compile(r"[^\w. :/-]", re.ASCII)  # what the name of a metric may not have
TEST = "accuracy/test"  # as in the runs of a sweep


def of_runs(results: Path, keys: Set[str]) -> dict[str, float]:
    """Return accuracy/test/ROW/TASK, the mean over seeds, and accuracy/test/ROW, the mean over tasks, from 0 to 1.

    ``keys`` are those of the runs. If there is one row, accuracy/test is its mean. A row that has runs of a task by
    several recipes or on several backbones is left out, because these are not comparable.
    """
    frame = to_frame(record for record in store.each(results) if record["key"] in keys)
    if frame.empty:
        return {}
    groups: list[Any] = [group.groupby(["row", "spec.task"])["accuracy.test"].mean() for group in comparable(frame)]
    tasks: Any = pd.concat(groups)
    several = tasks.index[tasks.index.duplicated()].get_level_values("row")
    tasks = tasks[~tasks.index.get_level_values("row").isin(several)]
    rows = tasks.groupby(level="row").mean()
    named = {f"{TEST}/{row}/{task}": value for (row, task), value in tasks.items()}
    named |= {f"{TEST}/{row}": value for row, value in rows.items()}
    named |= {TEST: rows.iloc[0]} if len(rows) == 1 and several.empty else {}
    return {UNKNOWN.sub("-", name): float(value) for name, value in named.items()}
