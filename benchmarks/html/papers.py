"""Published points for the plot of accuracy against parameters: rows of papers on the same suite and backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks import published, suites
from benchmarks.backbones.names import parse

ROW = ("method", "source", "checkpoint_rule", "train_split")  # what rows of papers differ in
COST = {  # what papers count on images and on points, as ``axes.csv`` names it
    "image": "trained parameters without the head",
    "points": "trained parameters with the head",
}


def papers(runs: pd.DataFrame, accuracies: Sequence[str]) -> dict[str, Any] | None:
    """The rows of papers that state their parameters and a number of the plot; None if there are none.

    ``runs`` are comparable runs, and ``accuracies`` the names of the vertical axes: tasks, and their mean if there are
    several. A mean is over the same tasks: printed by the paper, or of its numbers of all these tasks.
    """
    first = runs.iloc[0]
    suite, modality = str(first["spec.suite"]), str(first["spec.backbone.modality"])
    files = suites.get(suite).published if suite in suites.table() else ()
    if not files:
        return None
    numbers = published.numbers(files).dropna(subset="params_m")
    numbers = numbers[(numbers["suite"] == suite) & (numbers["modality"] == modality)]
    numbers = numbers[numbers["backbone"] == parse(str(first["spec.backbone.name"])).plain.removesuffix("_1k")]
    if modality == "points":
        numbers = numbers[numbers["augment"] == str(first["spec.recipe.augment"])]
    tasks, rows = [str(task) for task in runs["spec.task"].unique()], dict[tuple[str, ...], list[dict[str, Any]]]()
    for one in numbers.to_dict("records"):
        rows.setdefault(tuple(one[name] for name in ROW), []).append({str(name): value for name, value in one.items()})
    points = [_point(own, tasks, accuracies) for own in rows.values()]
    points = [point for point in points if any(value is not None for value in point["values"])]
    return {"cost": COST[modality], "points": points} if points else None


def _point(numbers: Sequence[Mapping[str, Any]], tasks: Sequence[str], accuracies: Sequence[str]) -> dict[str, Any]:
    first, values = numbers[0], {one["task"]: one["accuracy"] for one in numbers}
    printed = [one["accuracy"] for one in numbers if one["task"] == published.MEAN and one["tasks"] == len(tasks)]
    if all(task in values for task in tasks):
        printed = [sum(values[task] for task in tasks) / len(tasks)]
    shown = [values.get(name) if name in tasks else next(iter(printed), None) for name in accuracies]
    return {
        "name": first["method"],
        "from": f"paper: {first['source']}; checkpoint rule {first['checkpoint_rule']}",
        "x": float(f"{1e6 * first['params_m']:.6g}"),
        "values": [None if value is None else float(f"{value:.6g}") for value in shown],
    }
