"""Run records to tables: a row a method, a column a task, and what the differences between rows are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.tables.rows import comparable, recipe_text

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Table",
    "accuracies",
    "comparable",
    "of_groups",
    "ppt",
    "scores",
    "tables",
    "tasks_and_groups",
    "whole_seeds",
]

NAMED_RULES = {"best_test": "best_test (epoch chosen on the test split; only to compare with papers)"}
UNKNOWN = "-"


@dataclass(frozen=True)
class Table:
    """One comparison: runs that differ in method, task and seed alone.

    ``cells`` holds texts; ``values`` the numbers behind them where a column is one to be best in, NaN elsewhere;
    ``tasks`` names the columns that are tasks.
    """

    title: str
    notes: tuple[str, ...]
    cells: pd.DataFrame
    values: pd.DataFrame
    tasks: tuple[str, ...] = ()

    def best(self) -> pd.DataFrame:
        """Where a cell is the best of its column, ties at the shown precision included."""
        return self.values.eq(self.values.max()) & self.values.notna()


def tables(frame: pd.DataFrame) -> list[Table]:
    """The tables of all runs of ``frame``, by what may be compared."""
    return of_groups(comparable(frame))


def of_groups(groups: Sequence[pd.DataFrame]) -> list[Table]:
    """One table of accuracies for every set of runs that may be compared, in a stable order; then what these runs
    cost, and what the searches among them cost.
    """
    from benchmarks.tables.costs import costs, searches

    spent = [table for group in groups for table in costs(group)]
    return [*map(accuracies, groups), *spent, *(table for group in groups for table in searches(group))]


def ppt(accuracy: float, parameters: float) -> float:
    """V-PETL Bench's performance against parameters: M exp(-log10(P / 1e7 + 1)), M in [0, 1], P without the head."""
    return accuracy * math.exp(-math.log10(parameters / 1e7 + 1))


def accuracies(frame: pd.DataFrame) -> Table:
    """The table of runs that may be compared; a mean over tasks only where a seed has every task."""
    import pandas as pd

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
    values = mean.map(lambda accuracy: round(accuracy, 1))  # as the texts are rounded
    pairs = zip(mean["mean"] / 100, frame.groupby("row")["params.method"].mean(), strict=True)
    values["PPT"] = [round(ppt(accuracy, params), 3) for accuracy, params in pairs]
    ppt_text = values["PPT"].map("{:.3f}".format, na_action="ignore")
    interval = {"95 % interval": _interval(whole)}
    cells = pd.DataFrame({"seeds": _seeds(runs), **text, **interval, **last, "PPT": ppt_text})
    reported = _published(frame, groups)
    if (reported != "").any():
        cells["published"] = reported.replace("", UNKNOWN)
    order = (-values["mean"].fillna(-1)).sort_values(kind="stable").index  # of rows that were in alphabetical order
    cells = cells.loc[order].astype(object).fillna(UNKNOWN).rename_axis("method")
    first = frame.iloc[0]
    title = f"{first['spec.suite']}: {first['spec.backbone.modality']}, {first['spec.backbone.name']}"
    shown = values.loc[order].reindex(columns=cells.columns).rename_axis("method")
    return Table(title, _notes(frame, tasks, groups), cells, shown, tuple(tasks))


def scores(frame: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Test accuracies in percent, (row and seed, task), with gaps."""
    found = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test")
    return found.reindex(columns=tasks) * 100


def whole_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """The seeds of each row that have every task."""
    return runs.dropna()


def _means(whole: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    import pandas as pd

    by_group = {group: whole[list(members)].mean(axis=1) for group, members in groups.items()}
    several = {f"{group} mean": by_group[group] for group, members in groups.items() if len(members) > 1}
    return pd.DataFrame({**several, "mean": whole.mean(axis=1), "group mean": pd.DataFrame(by_group).mean(axis=1)})


def _interval(whole: pd.DataFrame) -> pd.Series[str]:
    """The 95 % interval of each mean, as text."""
    import pandas as pd

    from benchmarks.tables import statistics

    seeds = whole.mean(axis=1).unstack()
    ends = zip(*statistics.intervals(seeds.to_numpy()), strict=True)
    texts = [UNKNOWN if math.isnan(low) else f"{low:.1f} to {high:.1f}" for low, high in ends]
    return pd.Series(texts, index=seeds.index, dtype=object)


def _evidence(whole: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """How rows that have every task stand to each other; empty with fewer than two."""
    import pandas as pd

    from benchmarks.tables import statistics

    empty = pd.Series(dtype=object)
    if whole.index.get_level_values("row").nunique() < 2:
        return {"against best": empty, "rank": empty}
    blocks = pd.DataFrame(whole.stack().unstack("row")).dropna()
    ranks = statistics.mean_ranks(blocks).dropna()
    return {"against best": statistics.against_best(whole), "rank": ranks.map("{:.1f}".format)}


def _parameters(frame: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """What a row trains; a search finds another number each time."""
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
    """What papers report for each row's method, whatever its options here; empty where none does."""
    from benchmarks import published

    first = frame.iloc[0]
    where = {"backbone": str(first["spec.backbone.name"]), "augment": str(first["spec.recipe.augment"])}
    methods = frame.groupby("row")["spec.method"].first()
    suite = str(first["spec.suite"])
    if suite not in set(published.numbers()["suite"]):
        return methods.map(lambda method: "")
    found = {method: published.find(suite, method, **where) for method in set(methods)}
    return methods.map({method: published.summary(numbers, groups) for method, numbers in found.items()})


def _notes(frame: pd.DataFrame, tasks: Sequence[str], groups: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    from benchmarks.tables.statistics import RESAMPLES

    first = frame.iloc[0]
    rule = first["accuracy.checkpoint_rule"]
    full = int(first["params.backbone"])
    return (
        f"Test accuracy in percent, mean ± sample standard deviation over seeds; rule {NAMED_RULES.get(rule, rule)}.",
        f"mean: of {len(tasks)} tasks, its 95 % interval by Student's t over seeds; group mean: of the means of the "
        f"groups {', '.join(groups)}; their deviation is that of the seeds' means.",
        f"params: trained without the head; % of the {full:,} of the backbone. PPT: accuracy against params, of V-PETL "
        "Bench.",
        f"Recipe: {recipe_text(first)}, {first['spec.dtype']}.",
        "against best: tied where a 95 % interval of the difference to the row of the best mean includes zero, be it "
        f"that of a paired bootstrap over (task, seed), {RESAMPLES:,} resamples, or of Student's t over seeds.",
        "rank: mean place over every (task, seed), 1 the best, among the rows that have all tasks.",
        *(f"{row}: {text}." for row, text in frame.groupby("row")["options"].first().items() if text),
    )


def tasks_and_groups(frame: pd.DataFrame) -> tuple[list[str], dict[str, list[str]]]:
    """Tasks in the suite's order and its groups; of a suite that is not installed, by name and in one group."""
    from benchmarks import suites

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


def _spread(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return UNKNOWN
    return f"{mean:.1f}" if math.isnan(deviation) else f"{mean:.1f} ± {deviation:.1f}"


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
