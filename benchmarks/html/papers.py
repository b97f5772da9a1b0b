"""Published points for the plot of accuracy against parameters: rows of papers on the same suite and backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from benchmarks import published, suites
from benchmarks.backbones.names import parse
from benchmarks.tables.rows import tasks_and_groups

ROW = ("method", "source", "checkpoint_rule", "train_split")  # what rows of papers differ in
COST = {  # what papers count on images and on points, as ``axes.csv`` names it
    "image": "trained parameters without the head",
    "points": "trained parameters with the head",
}


def papers(runs: pd.DataFrame, accuracies: Sequence[str]) -> dict[str, Any] | None:
    """The rows of papers that state their parameters and a number of the plot; None if there are none.

    ``runs`` are comparable runs, and ``accuracies`` the names of the vertical axes: tasks, and their means if there are
    several. A mean is over the same tasks: printed by the paper, or of its numbers of all these tasks. Parameters in
    percent are counted of the backbone of ``runs``.
    """
    first = runs.iloc[0]
    suite, modality = str(first["spec.suite"]), str(first["spec.backbone.modality"])
    files = suites.get(suite).published if suite in suites.table() else ()
    if not files:
        return None
    numbers = published.numbers(files)
    numbers = numbers[(numbers["suite"] == suite) & (numbers["modality"] == modality)]
    numbers = numbers[numbers["backbone"] == parse(str(first["spec.backbone.name"])).plain.removesuffix("_1k")]
    if modality == "points":
        numbers = numbers[numbers["augment"] == str(first["spec.recipe.augment"])]
    stated = numbers["params_m"].fillna(numbers["params_percent"] * _full(runs, modality) / 1e8)
    groups, rows = tasks_and_groups(runs)[1], dict[tuple[str, ...], list[dict[str, Any]]]()
    for one in numbers.assign(params_m=stated).dropna(subset="params_m").to_dict("records"):
        rows.setdefault(tuple(one[name] for name in ROW), []).append({str(name): value for name, value in one.items()})
    points = [_point(own, groups, accuracies) for own in rows.values()]
    points = [point for point in points if any(value is not None for value in point["values"])]
    return {"cost": COST[modality], "points": points} if points else None


def _full(runs: pd.DataFrame, modality: str) -> float:
    """The parameters that papers count in percent of: those of the backbone, on points also of the head."""
    counted = ["params.backbone", "params.head"] if modality == "points" else ["params.backbone"]
    return float(runs[counted].mean().sum())


def _point(
    numbers: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], accuracies: Sequence[str]
) -> dict[str, Any]:
    first, tasks = numbers[0], [task for own in groups.values() for task in own]
    values = {one["task"]: one["accuracy"] for one in numbers if one["task"] in tasks or one["tasks"] == len(tasks)}
    if all(task in values for task in tasks):
        means = [fmean(values[task] for task in own) for own in groups.values()]
        values |= {published.MEAN: fmean(values[task] for task in tasks), published.GROUP_MEAN: fmean(means)}
    own = (*tasks, published.GROUP_MEAN)
    shown = [values.get(name if name in own else published.MEAN) for name in accuracies]
    return {
        "name": first["method"],
        "from": f"paper: {first['source']}; checkpoint rule {first['checkpoint_rule']}",
        "x": float(f"{1e6 * first['params_m']:.6g}"),
        "values": [None if value is None else float(f"{value:.6g}") for value in shown],
    }
