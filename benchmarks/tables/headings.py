"""What a group of comparable runs is about, in words for titles."""

from __future__ import annotations

import pandas as pd

from benchmarks import suites
from benchmarks.tables.rows import tasks_and_groups
from benchmarks.tables.table import counted

MODALITIES = {"image": "Images", "points": "Point clouds"}


def heading(frame: pd.DataFrame) -> str:
    """Describe comparable runs, as in "Images: 6 tasks, 1.4 M parameters, 200 labels per task"."""
    first, (tasks, _) = frame.iloc[0], tasks_and_groups(frame)
    words = [counted(tasks, "task") if len(tasks) > 1 else tasks[0], _parameters(first["params.backbone"])]
    if labels := _labels(frame, tasks):
        words.append(f"{labels} labels{' per task' * (len(tasks) > 1)}")
    return f"{MODALITIES[first['spec.backbone.modality']]}: {', '.join(words)}"


def _parameters(count: float) -> str:
    return f"{count / 1e6:.1f} M parameters" if count >= 1e5 else f"{count:,.0f} parameters"


def _labels(frame: pd.DataFrame, tasks: list[str]) -> str:
    """Return how many labelled samples each task trains on, as a range where tasks differ; empty if not known."""
    suite = str(frame["spec.suite"].iloc[0])
    known = suites.get(suite).tasks if suite in suites.table() else {}
    if not set(tasks) <= set(known):
        return ""
    both = frame["spec.recipe.train_split"].iloc[0] == "trainval"
    counts = sorted({known[name].train + both * known[name].val for name in tasks})
    return " to ".join(f"{count:,}" for count in dict.fromkeys((counts[0], counts[-1])))
