"""The leaderboard for programs: tidy tables, one per file, with numbers as numbers and units in their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from benchmarks.tables import chance, statistics
from benchmarks.tables.costs import COLUMNS, spent
from benchmarks.tables.formats import for_csv
from benchmarks.tables.rows import scores, sources, tasks_and_groups

MEAN = "mean"  # in place of a task: the mean over tasks, of the seeds that have every task
DIGITS = 4  # of percentages
PARAMS, DEVICE = ("params.method", "params.head", "params.backbone"), "environment.device"
RENAMED = {  # fields of records, without the objects that they are in
    **{name: f"{name.partition('.')[2]}_params" for name in PARAMS},
    **{name: name.partition(".")[2].replace(".", "_") for name in (*(field for field, _ in COLUMNS.values()), DEVICE)},
}


def files(groups: Sequence[pd.DataFrame]) -> dict[str, str]:
    """The texts of the CSV files of groups of comparable runs, by the names of the files.

    ``leaderboard.csv`` has one line per method and task, ``costs.csv`` one per method and device, and ``searches.csv``,
    if any run has searched, one per run. ``table`` counts the groups, as the pages show them.
    """
    made = {
        name: [_about(number, group, table) for number, group in enumerate(groups, 1) if len(table := make(group))]
        for name, make in TABLES.items()
    }
    return {name: _text(tables) for name, tables in made.items() if tables}


def _accuracies(frame: pd.DataFrame) -> pd.DataFrame:
    tasks, _ = tasks_and_groups(frame)
    runs, guessed = scores(frame, tasks), chance.level(frame, tasks)
    params = frame[["row", "spec.task", *PARAMS]].rename(columns={"spec.task": "task"})
    if len(tasks) > 1:
        runs = runs.assign(**{MEAN: runs.dropna().mean(axis=1)})
        guessed = guessed.assign(**{MEAN: guessed.mean(axis=1)})
        params = pd.concat([params, params.assign(task=MEAN)])
    tables = [_task(runs[task].dropna(), str(task), guessed[task]) for task in runs]
    return pd.concat(tables).merge(params.groupby(["row", "task"], as_index=False).mean(), on=["row", "task"])


def _task(values: pd.Series[Any], task: str, guessed: pd.Series[Any]) -> pd.DataFrame:
    """One line per row: the seeds, and in percent mean, standard deviation, the mean's 95 % interval, and chance."""
    seeds = values.unstack()
    low, high = statistics.intervals(seeds.to_numpy())
    numbers = {"mean": seeds.mean(axis=1), "deviation": seeds.std(axis=1), "low": low, "high": high}
    found = pd.DataFrame({"row": seeds.index, "task": task, "seeds": seeds.count(axis=1), **numbers})
    return found.assign(chance=guessed.max()).round(DIGITS).reset_index(drop=True)


def _costs(frame: pd.DataFrame) -> pd.DataFrame:
    if DEVICE not in frame:
        return pd.DataFrame()
    by = frame.groupby(["row", DEVICE])
    medians = by[[field for field, _ in COLUMNS.values() if field in frame]].median()
    medians.insert(0, "runs", by.size())
    return medians.reset_index()


def _searches(frame: pd.DataFrame) -> pd.DataFrame:
    found = spent(frame)
    named = {name: str(name).replace("%", "percent").replace(" ", "_") for name in found}
    runs = frame.loc[found.index, ["row", "spec.task", "spec.seed"]]
    return runs.rename(columns={"spec.task": "task", "spec.seed": "seed"}).join(found.rename(columns=named))


TABLES = {"leaderboard.csv": _accuracies, "costs.csv": _costs, "searches.csv": _searches}


def _about(number: int, frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The table with columns before it that say which group of comparable runs it is of."""
    first, options = frame.iloc[0], frame.groupby("row")["options"].first()
    about = {
        "table": number,
        "suite": first["suite"],
        "modality": first["spec.backbone.modality"],
        "backbone": first["spec.backbone.name"],
        "metric": first["metric"],
        "method": table["row"],
        "options": table["row"].map(options),
    }
    if (source := sources(frame)) is not None:
        about["source"] = table["row"].map(source)
    ordered = pd.DataFrame(about, table.index).join(table.drop(columns="row").rename(columns=RENAMED))
    return ordered.sort_values("method", kind="stable")


def _text(tables: Sequence[pd.DataFrame]) -> str:
    whole = pd.concat(tables).convert_dtypes()
    texts = whole.map(lambda value: for_csv(value) if isinstance(value, str) else value)
    return str(texts.to_csv(index=False, lineterminator="\n", float_format="%.10g"))
