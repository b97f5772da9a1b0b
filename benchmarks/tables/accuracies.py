"""The table of accuracies: one row per method, one column per task, and a comparison of every row with the best."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks import published, suites
from benchmarks.tables import statistics
from benchmarks.tables.rows import recipe_text
from benchmarks.tables.scores import scores, tasks_and_groups, whole_seeds
from benchmarks.tables.statistics import RESAMPLES
from benchmarks.tables.table import Table

NAMED_RULES = {"best_test": "best_test (the epoch is chosen on the test split; use it only to compare with papers)"}
UNKNOWN = "-"


def ppt(accuracy: float, parameters: float) -> float:
    """V-PETL Bench's score of accuracy against parameters: M exp(-log10(P / 1e7 + 1)).

    M is the accuracy in [0, 1] and P the number of trained parameters without the head.
    """
    return accuracy * math.exp(-math.log10(parameters / 1e7 + 1))


def accuracies(frame: pd.DataFrame) -> Table:
    """Make the table of one group of comparable runs, the row with the highest mean first.

    A mean over tasks uses only the seeds that have every task.
    """
    tasks, groups = tasks_and_groups(frame)
    runs = scores(frame, tasks)
    whole = whole_seeds(runs)
    seeds = runs.join(_means(whole, groups)).groupby("row")
    mean, deviation = seeds.mean(), seeds.std()
    text: dict[Any, pd.Series[Any]] = {
        name: pd.Series(list(map(_spread, mean[name], deviation[name])), index=mean.index, dtype=object)
        for name in mean
    }
    last = {"group mean": text.pop("group mean"), **_evidence(whole), **_parameters(frame)}
    values = mean.map(lambda accuracy: round(accuracy, 1))  # to the precision of the texts
    pairs = zip(mean["mean"] / 100, frame.groupby("row")["params.method"].mean(), strict=True)
    values["PPT"] = [round(ppt(accuracy, params), 3) for accuracy, params in pairs]
    ppt_text = values["PPT"].map("{:.3f}".format, na_action="ignore")
    interval = {"95 % interval": _interval(whole)}
    cells = pd.DataFrame({"seeds": _seeds(runs), **text, **interval, **last, "PPT": ppt_text})
    reported = _published(frame, groups)
    if (reported != "").any():
        cells["published"] = reported.replace("", UNKNOWN)
    order = (-values["mean"].fillna(-1)).sort_values(kind="stable").index  # equal rows stay in alphabetical order
    cells = cells.loc[order].astype(object).fillna(UNKNOWN).rename_axis("method")
    first = frame.iloc[0]
    title = f"{first['spec.suite']}: {first['spec.backbone.modality']}, {first['spec.backbone.name']}"
    shown = values.loc[order].reindex(columns=cells.columns).rename_axis("method")
    return Table(title, _notes(frame, tasks, groups), cells, shown, tuple(tasks))


def _means(whole: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    by_group = {group: whole[list(members)].mean(axis=1) for group, members in groups.items()}
    several = {f"{group} mean": by_group[group] for group, members in groups.items() if len(members) > 1}
    return pd.DataFrame({**several, "mean": whole.mean(axis=1), "group mean": pd.DataFrame(by_group).mean(axis=1)})


def _interval(whole: pd.DataFrame) -> pd.Series[str]:
    """Return the 95 % interval of each row's mean as text."""
    seeds = whole.mean(axis=1).unstack()
    ends = zip(*statistics.intervals(seeds.to_numpy()), strict=True)
    texts = [UNKNOWN if math.isnan(low) else f"{low:.1f} to {high:.1f}" for low, high in ends]
    return pd.Series(texts, index=seeds.index, dtype=object)


def _evidence(whole: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Compare the rows that have every task; the columns are empty if there are fewer than two such rows."""
    empty = pd.Series(dtype=object)
    if whole.index.get_level_values("row").nunique() < 2:
        return {"against best": empty, "rank": empty}
    blocks = pd.DataFrame(whole.stack().unstack("row")).dropna()
    ranks = statistics.mean_ranks(blocks).dropna()
    return {"against best": statistics.against_best(whole), "rank": ranks.map("{:.1f}".format)}


def _parameters(frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Count the parameters of each row, as a range where runs differ: a search finds a new number in every run."""
    rows = frame.groupby("row")[["params.method", "params.head", "params.backbone"]]
    low, high, mean = rows.min(), rows.max(), rows.mean()
    ranges = {
        name: low[column].combine(high[column], _range)
        for name, column in (("params", "params.method"), ("head", "params.head"))
    }
    return {**ranges, "%": (100 * mean["params.method"] / mean["params.backbone"]).map("{:.2f}".format)}


def _seeds(runs: pd.DataFrame) -> pd.Series[Any]:
    counts = runs.groupby("row").count()
    counts = counts.where(counts > 0)
    return counts.min(axis=1).combine(counts.max(axis=1), _range)


def _published(frame: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.Series[str]:
    """Return what papers report for the method of each row, whatever its options here; empty if no paper does."""
    first = frame.iloc[0]
    conditions = {"backbone": str(first["spec.backbone.name"]), "augment": str(first["spec.recipe.augment"])}
    methods = frame.groupby("row")["spec.method"].first()
    suite = str(first["spec.suite"])
    files = suites.get(suite).published if suite in suites.table() else ()
    if not files:
        return methods.map(lambda method: "")
    found = {method: published.find(suite, method, files, **conditions) for method in set(methods)}
    return methods.map({method: published.summary(numbers, groups) for method, numbers in found.items()})


def _notes(frame: pd.DataFrame, tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    first = frame.iloc[0]
    rule = first["accuracy.checkpoint_rule"]
    full = int(first["params.backbone"])
    return (
        "A task's column shows the test accuracy in percent: mean ± sample standard deviation over seeds. The "
        f"checkpoint rule is {NAMED_RULES.get(rule, rule)}.",
        f"mean: the mean over {_counted(tasks, 'task')}. group mean: the mean of the means of "
        f"{_counted(groups, 'group')} ({', '.join(groups)}). A mean is computed per seed; its deviation and its 95 % "
        "interval (Student's t) are over seeds.",
        "params: the number of trained parameters without the head. %: params in percent of the backbone's "
        f"{full:,} parameters. PPT: V-PETL Bench's score of accuracy against params.",
        f"Recipe: {recipe_text(first)}, {first['spec.dtype']}.",
        "against best: compares the row with the best row, which has the highest mean. tied: at least one of two 95 % "
        f"intervals of the difference (paired bootstrap over tasks and seeds with {RESAMPLES:,} resamples, or "
        "Student's t over seeds) includes zero. below: neither does. -: fewer than two seeds are common to both rows.",
        "rank: the mean rank over all (task, seed) pairs among the rows that have all tasks; rank 1 is the best.",
        *(f"{row}: {text}." for row, text in frame.groupby("row")["options"].first().items() if text),
    )


def _counted(names: Collection[str], noun: str) -> str:
    return f"{len(names)} {noun}{'s' * (len(names) > 1)}"


def _spread(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return UNKNOWN
    return f"{mean:.1f}" if math.isnan(deviation) else f"{mean:.1f} ± {deviation:.1f}"


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
