"""The table of accuracies: one row per method, one column per task, and what differences between rows are worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.tables.rows import recipe_text
from benchmarks.tables.scores import scores, tasks_and_groups, whole_seeds
from benchmarks.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

NAMED_RULES = {"best_test": "best_test (epoch chosen on the test split; only to compare with papers)"}
UNKNOWN = "-"


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
    """What papers report for each row's method, whatever its options here; empty where no paper does."""
    from benchmarks import published, suites

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


def _spread(mean: float, deviation: float) -> str:
    if math.isnan(mean):
        return UNKNOWN
    return f"{mean:.1f}" if math.isnan(deviation) else f"{mean:.1f} ± {deviation:.1f}"


def _range(low: float, high: float) -> str:
    return f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
