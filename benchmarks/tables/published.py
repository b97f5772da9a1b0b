"""A table of published rows and our rows of one suite. Every row names its source and its checkpoint rule."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from benchmarks import published, suites
from benchmarks.suites import Suite
from benchmarks.tables import chance
from benchmarks.tables.accuracies import BATCHNORM, accuracies, adapted_batchnorm, augmentation, ppt
from benchmarks.tables.rows import OURS, of_present, sources
from benchmarks.tables.table import Table, counted, notes, nothing_best
from methods.errors import UserError, unknown

PAPER = "paper"  # the mark of published rows, beside those of ``rows.sources``
FOLDER = "published"  # the folder below the results for tables and figures with published numbers
MEANS = (published.MEAN, published.GROUP_MEAN)
SPLIT = "train_split"
ABOUT = ("source", "reference", "rule", "aggregate", "seeds", "backbone", "augment", SPLIT, BATCHNORM)


def check(suite: str) -> None:
    """Raise a ``UserError`` that names the suites with published numbers if ``suite`` is none of them."""
    known = [name for name in suites.table() if suites.get(name).published]
    if suite not in known:
        raise UserError(unknown("suite with published numbers", suite, known))


def table(suite: str, groups: Sequence[pd.DataFrame]) -> Table:
    """Make the table of one suite: every published row, and our rows from ``groups`` of comparable runs.

    Rows are sorted by backbone and augmentation; rows that agree in both start with the highest accuracy. No cell is
    marked as the best of its column.
    """
    numbers = published.numbers(suites.get(suite).published)
    numbers = numbers[numbers["suite"] == suite]
    reported, images = set(numbers["task"]), set(numbers["modality"]) == {"image"}
    tasks = tasks_by_group(suites.get(suite), reported)
    references = list(dict.fromkeys(numbers["source"]))
    keys = ["method", "backbone", "augment", "checkpoint_rule", "source", "aggregate", SPLIT]
    decimals = numbers["accuracy"].map(lambda number: len(f"{number:g}".partition(".")[2]))
    digits = decimals.groupby(numbers["source"]).max()
    rows = [
        _theirs(found, tasks, references, digits[found["source"].iloc[0]])
        for _, found in numbers.groupby(keys, sort=False)
    ]
    own, others = of_present(suite, groups)
    known = {*chain(*tasks.values()), *(f"{group} mean" for group in tasks), *MEANS}
    more = [name for name in dict.fromkeys(numbers["task"]) if name not in known]  # further numbers of a task
    rows += [row for group in own for row in _ours(group, tasks, more)]
    rows.sort(key=lambda row: (row["backbone"], row["augment"], -row["order"], row["method"]))
    cells = pd.DataFrame(rows).set_index("method").drop(columns="order")
    shown = [task for task in chain(*tasks.values()) if task in reported]
    means = [f"{group} mean" for group in tasks if len(tasks) > 1]
    overall = [*(MEANS if means else MEANS[:1]), "PPT"] if shown or reported & set(MEANS) else []
    columns = [*ABOUT, *shown, *more, *means, *overall[:-1], "params", *overall[-1:]]
    if (numbers[SPLIT] == published.OPTIONAL[SPLIT]).all():
        columns.remove(SPLIT)
    one = [name for name in ("backbone", "augment") if cells[name].nunique() == 1]
    title = ", ".join([f"{suite}: published and ours", *(cells[name].iloc[0] for name in one if name == "backbone")])
    cells = cells.reindex(columns=[name for name in columns if name not in one]).astype(object).fillna("-")
    cells = cells.loc[:, (cells != "-").any()]
    metric = next(iter(suites.get(suite).tasks.values())).kind.metric
    about = list(notes("published", metric=metric, head="without" if images else "with"))
    if shown and len(tasks) > 1:
        about[1:1] = notes("published_means", count=sum(map(len, tasks.values())), groups=", ".join(tasks))
    if cells.map(lambda cell: chance.MARK in str(cell)).any(axis=None):
        about += notes("chance", mark=chance.MARK)[1:]
    if not own:
        about.append(f"We have no run records on {suite}.")
    if others:
        about.append(f"Runs on {', '.join(others)} are not shown here; the leaderboard has a table of them.")
    about += [f"[{i + 1}]: {reference}." for i, reference in enumerate(references)]
    return Table(title, tuple(about), cells, nothing_best(cells))


def tasks_by_group(suite: Suite, reported: Container[str]) -> dict[str, list[str]]:
    """Group the tasks of images, and point tasks with published numbers.

    Point tasks are one group, because no paper averages over them.
    """
    groups: dict[str, list[str]] = {}
    for task in suite.tasks.values():
        if task.modality == "image" or task.name in reported:
            groups.setdefault(task.group if task.modality == "image" else "all", []).append(task.name)
    return groups


def _theirs(
    found: pd.DataFrame, tasks: Mapping[str, Sequence[str]], references: Sequence[str], digits: int
) -> dict[str, Any]:
    """Make one row of a paper; it has means if no cell is missing."""
    first = found.iloc[0]
    by_task = found.set_index("task")["accuracy"]
    there = [task for task in chain(*tasks.values()) if task in by_task]
    cells: dict[str, Any] = {str(task): f"{accuracy:.{digits}f}" for task, accuracy in by_task.items()}
    means = aggregates(by_task, tasks)
    cells |= {name: f"{mean:.2f}" for name, mean in means.items()}
    params = "-" if math.isnan(first["params_m"]) else f"{first['params_m']:g} M"
    if not math.isnan(first["params_percent"]):
        params = f"{first['params_percent']:g} %"
    if "mean" in means and not math.isnan(first["params_m"]):
        cells["PPT"] = f"{ppt(means['mean'] / 100, first['params_m'] * 1e6):.3f}"
    about = {
        "method": first["method"],
        "source": PAPER,
        "reference": f"[{references.index(first['source']) + 1}]",
        "rule": first["checkpoint_rule"],
        "aggregate": first["aggregate"]
        if set(by_task.index) - set(chain(*tasks.values())) and first["aggregate"] != published.CELLS
        else counted(there or by_task, "task"),
        "seeds": first["seeds"],
        "backbone": first["backbone"],
        "augment": first["augment"],
        SPLIT: first[SPLIT],
        "order": means.get("group mean", by_task[there[-1]] if there else by_task.iloc[-1]),
    }
    return {**about, **cells, "params": params}


def aggregates(by_task: pd.Series[float], tasks: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Compute the group means, the mean over all tasks and the mean of the group means.

    The result is empty if a task is missing or if all tasks are one group.
    """
    members = list(chain(*tasks.values()))
    if len(tasks) < 2 or not set(members) <= set(by_task.index):
        return {}
    groups = {f"{group} mean": float(by_task[list(own)].mean()) for group, own in tasks.items()}
    return {**groups, "mean": float(by_task[members].mean()), "group mean": sum(groups.values()) / len(groups)}


def _ours(group: pd.DataFrame, tasks: Mapping[str, Sequence[str]], more: Sequence[str]) -> list[dict[str, Any]]:
    """Make the rows of one group of comparable runs; they have a mean only over all tasks that it is of in papers."""
    made, run = accuracies(group), group.iloc[0]
    members = list(chain(*tasks.values()))
    ran = set(group["spec.task"])
    points = run["spec.backbone.modality"] == "points"
    same = not points and set(members) == ran
    whole = [f"{name} mean" for name, own in tasks.items() if len(tasks) > 1 and ran.issuperset(own)]
    trained = group["params.method"] + (group["params.head"] if points else 0)
    params = trained.groupby(group["row"]).mean()
    wanted = [*members, *more, *whole, *([*MEANS, "PPT"] if same else [])]
    source = sources(group)
    rows = []
    for name, cells in made.cells.to_dict("index").items():
        kept = {column: cells[column] for column in wanted if column in cells}
        there = [task for task in members if cells.get(task, "-") != "-"]
        if not there:
            continue
        order = float(made.values["group mean" if same else there[-1]][str(name)])
        about = {
            "method": name,
            "source": OURS if source is None else source[str(name)],
            "rule": run["accuracy.checkpoint_rule"],
            "aggregate": counted(there, "task"),
            "seeds": cells["seeds"],
            "backbone": run["spec.backbone.name"],
            "augment": augmentation(group),
            SPLIT: run["spec.recipe.train_split"],
            BATCHNORM: adapted_batchnorm(group) or "-",
            "order": -1.0 if math.isnan(order) else order,
        }
        rows.append({**about, **kept, "params": f"{params[str(name)] / 1e6:.2f} M"})
    return rows
