"""The table of accuracies: one row per method, one column per task, and a comparison of every row with the best."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from benchmarks import published, suites
from benchmarks.records.spec import FOR_IMAGES
from benchmarks.tables import chance, statistics
from benchmarks.tables.rows import group_mean, others, scores, sources, tasks_and_groups
from benchmarks.tables.table import Table, counted, notes

NAMED_RULES = {"best_test": "best_test (the epoch is chosen on the test split; use it only to compare with papers)"}
UNKNOWN = "-"
BATCHNORM = "frozen BatchNorm"  # the column that says so where their statistics adapt


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
    whole = runs.dropna()
    seeds = runs.join(others(frame)).join(_means(whole, groups)).groupby("row")
    mean, deviation = seeds.mean(), seeds.std()
    text: dict[Any, pd.Series[Any]] = {
        name: pd.Series(list(map(spread, mean[name], deviation[name])), index=mean.index, dtype=object) for name in mean
    }
    last = {"group mean": text.pop("group mean"), **_evidence(whole), **_parameters(frame)}
    values = mean.map(lambda accuracy: round(accuracy, 1))  # to the precision of the texts
    pairs = zip(mean["mean"] / 100, frame.groupby("row")["params.method"].mean(), strict=True)
    values["PPT"] = [round(ppt(accuracy, params), 3) for accuracy, params in pairs]
    ppt_text = values["PPT"].map("{:.3f}".format, na_action="ignore")
    text = {"seeds": _seeds(runs), **text, "95 % interval": _interval(whole), **last, "PPT": ppt_text}
    cells = pd.DataFrame(text)
    if (source := sources(frame)) is not None:
        cells.insert(0, "source", source)
    papers = reported(frame, groups)
    if (papers != "").any():
        cells["published"] = papers.replace("", UNKNOWN)
    if adapted := adapted_batchnorm(frame):
        cells[BATCHNORM] = adapted
    order = (-values["mean"].fillna(-1)).sort_values(kind="stable").index  # equal rows stay in alphabetical order
    cells = cells.loc[order].astype(object).fillna(UNKNOWN).rename_axis("method")
    failed, alerts = chance.failures(frame)
    for row, task in failed:
        cells.at[row, task] = f"{cells.at[row, task]!s} {chance.MARK}"
    first = frame.iloc[0]
    judged = "" if first["metric"] == "accuracy" else f", {first['metric']}"
    title = f"{first['suite']}: {first['spec.backbone.modality']}, {first['spec.backbone.name']}{judged}"
    shown = values.loc[order].reindex(columns=cells.columns).rename_axis("method")
    foot = _foot(chance.level(frame, tasks), groups, cells)
    return Table(title, _notes(frame, tasks, groups), cells, shown, tuple(tasks), foot=foot, alerts=alerts)


def _foot(level: pd.DataFrame, groups: Mapping[str, Sequence[str]], cells: pd.DataFrame) -> pd.DataFrame:
    """What guessing gets, in the columns of ``cells``."""
    numbers = level.join(_means(level, groups)) if len(level) else level
    return numbers.map("{:.1f}".format).reindex(columns=cells.columns).astype(object).fillna(UNKNOWN)


def adapted_batchnorm(frame: pd.DataFrame) -> str:
    """Return what the recipe of comparable runs says about frozen BatchNorms; empty if they keep their statistics."""
    # a record has a newer field of the recipe only if its value is not the default
    return str(json.loads(frame["spec.recipe"].iloc[0]).get("frozen_batchnorm", ""))


def augmentation(frame: pd.DataFrame) -> str:
    """Return how training samples of comparable runs were augmented, or "none"."""
    recipe = json.loads(frame["spec.recipe"].iloc[0])
    own = [str(recipe["augment"])] if recipe["augment"] != "none" else []
    return ", ".join([*own, *(f"{name} {recipe[name]:g}" for name in FOR_IMAGES if name in recipe)]) or "none"


def _means(whole: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    several = {f"{group} mean": whole[list(own)].mean(axis=1) for group, own in groups.items() if len(own) > 1}
    return pd.DataFrame({**several, "mean": whole.mean(axis=1), "group mean": group_mean(whole, groups)})


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
    return {
        "params": low["params.method"].combine(high["params.method"], _range),
        "head": low["params.head"].combine(high["params.head"], _range),
        "%": (100 * mean["params.method"] / mean["params.backbone"]).map("{:.2f}".format),
    }


def _seeds(runs: pd.DataFrame) -> pd.Series[Any]:
    counts = runs.groupby("row").count().replace(0, math.nan)
    return counts.min(axis=1).combine(counts.max(axis=1), _range)


def reported(frame: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.Series[str]:
    """Return what papers report for the method of each row, whatever its options here; empty if no paper does."""
    first, methods = frame.iloc[0], frame.groupby("row")["spec.method"].first()
    suite = str(first["spec.suite"])
    files = suites.get(suite).published if suite in suites.table() else ()
    if not files:
        return methods.map(lambda method: "")
    conditions = {"backbone": str(first["spec.backbone.name"]), "augment": str(first["spec.recipe.augment"])}
    found = {method: published.find(suite, method, files, **conditions) for method in set(methods)}
    return methods.map({method: published.summary(numbers, groups) for method, numbers in found.items()})


def _notes(frame: pd.DataFrame, tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    first = frame.iloc[0]
    rule = first["accuracy.checkpoint_rule"]
    # a record has a newer field of the recipe only if its value is not the default
    recipe = [f"{name} {value}" for name, value in json.loads(first["spec.recipe"]).items()]
    own = notes(
        "accuracies",
        metric=first["metric"],
        rule=NAMED_RULES.get(rule, rule),
        tasks=counted(tasks, "task"),
        groups=f"{counted(groups, 'group')} ({', '.join(groups)})",
        full=int(first["params.backbone"]),
        recipe=", ".join([*recipe, first["spec.dtype"]]),
        resamples=statistics.RESAMPLES,
    )
    if first["metric"] == "accuracy":
        own += notes("chance", mark=chance.MARK)
    named = ", ".join(map(str, others(frame)))
    more = (f"{named}: further numbers of the same runs in percent; no mean has them.",) if named else ()
    return (*own, *more, *(f"{row}: {text}." for row, text in frame.groupby("row")["options"].first().items() if text))


def spread(mean: float, deviation: float) -> str:
    """Write a mean and its deviation over seeds; NaN for one seed."""
    if math.isnan(mean):
        return UNKNOWN
    return f"{mean:.1f}" if math.isnan(deviation) else f"{mean:.1f} ± {deviation:.1f}"


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
