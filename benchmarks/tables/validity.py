"""Our ranking of methods beside the ranking that papers print: does one suite predict another?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import pandas as pd
from scipy import stats

from benchmarks import published, suites
from benchmarks.tables.headings import heading
from benchmarks.tables.published import aggregates, tasks_by_group
from benchmarks.tables.rows import group_mean, scores, tasks_and_groups
from benchmarks.tables.statistics import intervals, rank_correlation
from benchmarks.tables.table import Table, notes, nothing_best

FEWEST = 5  # methods in common; a correlation of fewer says nothing
MOST_APART = 3  # methods that the summary names


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One group of comparable runs beside the published numbers of a suite.

    Attributes:
        title: what our runs are about.
        suite: the suite of the published numbers.
        backbone: the backbone of the published numbers.
        methods: a row per method in both, the best published first. Columns: ``theirs`` and ``source`` as papers print
            them; ``ours``, ``low`` and ``high``, our mean with its 95 % interval over seeds. Accuracies in percent.
    """

    title: str
    suite: str
    backbone: str
    methods: pd.DataFrame

    @property
    def places(self) -> pd.DataFrame:
        """The place of each method among these methods, by ``theirs`` and by ``ours``; 1 is the best."""
        return self.methods[["theirs", "ours"]].rank(ascending=False)

    @property
    def spearman(self) -> tuple[float, float, float]:
        """Spearman's rank correlation, and the ends of its 95 % interval by bootstrap over methods."""
        return rank_correlation(self.methods["theirs"], self.methods["ours"])

    @property
    def without(self) -> tuple[str, float]:
        """The method without which the correlation is highest, and that correlation."""
        left = {str(name): self.methods.drop(index=name) for name in self.methods.index}
        found = {name: float(stats.spearmanr(rest["theirs"], rest["ours"]).statistic) for name, rest in left.items()}
        best = max(found, key=lambda name: found[name])
        return best, found[best]

    @property
    def apart(self) -> pd.Series[float]:
        """By how many places a method is better here than in papers, the largest differences first."""
        gaps = self.places["theirs"] - self.places["ours"]
        return gaps.sort_values(key=lambda values: -values.abs(), kind="stable")

    def summary(self) -> str:
        """Tell the correlation and where the rankings disagree, in Markdown."""
        rho, low, high = self.spearman
        method, rest = self.without
        gaps = self.apart[self.apart != 0].iloc[:MOST_APART]
        places = [f"`{name}` {abs(gap):g} places {'better' if gap > 0 else 'worse'} here" for name, gap in gaps.items()]
        return (
            f"Spearman's rank correlation over {len(self.methods)} methods is {rho:.2f}, with a 95 % interval from "
            f"{low:.2f} to {high:.2f} by bootstrap over methods. Without `{method}` it is {rest:.2f}."
            + (f" The largest differences: {', '.join(places)}." if places else "")
        )


def agreements(groups: Sequence[pd.DataFrame], suite: str) -> list[Agreement]:
    """Compare each group of comparable runs with the published numbers of ``suite``.

    Groups of the other modality, and groups with fewer than five methods in common with the papers, are left out.
    """
    modality = next(iter(suites.get(suite).tasks.values())).modality
    theirs = _theirs(suite)
    made = []
    for group in groups:
        if group["spec.backbone.modality"].iloc[0] != modality:
            continue
        both = theirs.join(_ours(group), how="inner").sort_values("theirs", ascending=False, kind="stable")
        if len(both) >= FEWEST:
            backbone = str(both.pop("backbone").iloc[0])
            made.append(Agreement(title=heading(group), suite=suite, backbone=backbone, methods=both))
    return made


def _theirs(suite: str) -> pd.DataFrame:
    """Return by method what papers print: ``theirs``, ``source`` and ``backbone``.

    All are on the backbone that most methods have, and the mean of the groups' means (of images) or of the tasks. Of
    several numbers of one method, one computed from the cells of a table comes before one printed as a mean.
    """
    found = published.numbers(suites.get(suite).published)
    found = found[found["suite"] == suite]
    tasks = tasks_by_group(suites.get(suite), set(found["task"]))
    rows = []
    for (method, backbone, source), own in found.groupby(["method", "backbone", "source"], sort=False):
        value, printed = _mean(own.drop_duplicates("task").set_index("task")["accuracy"], tasks)
        if value is not None:
            rows.append((method, value, source, backbone, printed))
    every = pd.DataFrame(rows, columns=["method", "theirs", "source", "backbone", "printed"])
    usual = every.groupby("backbone")["method"].nunique()
    every = every[every["backbone"].isin(usual[usual == usual.max()].index[:1])].sort_values("printed", kind="stable")
    return every.drop_duplicates("method").set_index("method").drop(columns="printed")


def _mean(by_task: pd.Series[float], tasks: Mapping[str, Sequence[str]]) -> tuple[float | None, bool]:
    """Return a method's mean in one source, or None if it has none, and whether it was printed as a mean."""
    members = list(chain(*tasks.values()))
    if len(tasks) == 1 and set(members) <= set(by_task.index):
        return float(by_task[members].mean()), False
    found = aggregates(by_task, tasks).get(published.GROUP_MEAN)
    if found is not None:
        return found, False
    same = [published.MEAN] if len(tasks) == 1 else []  # of one group the two means are the same
    return next((by_task[name] for name in (published.GROUP_MEAN, *same) if name in by_task), None), True


def _ours(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``ours``, ``low`` and ``high`` by method: the mean of the groups' means, over seeds with every task.

    A method is its row of default options, or else its only row.
    """
    tasks, groups = tasks_and_groups(frame)
    seeds = group_mean(scores(frame, tasks).dropna(), groups).unstack()
    low, high = intervals(seeds.to_numpy())
    means = pd.DataFrame({"ours": seeds.mean(axis=1), "low": low, "high": high}, index=seeds.index)
    rows = frame.groupby("spec.method")["row"].unique()
    chosen = {str(name): str(own[0] if len(own) == 1 else name) for name, own in rows.items()}
    return pd.DataFrame(
        {name: means.loc[row] for name, row in chosen.items() if row in means.index}, index=means.columns
    ).T.rename_axis("method")


def table(made: Agreement) -> Table:
    """Make the table of both rankings."""
    own, places, sources = made.methods, made.places, list(dict.fromkeys(made.methods["source"]))
    ends = zip(own["low"], own["high"], strict=True)
    columns: dict[str, list[str]] = {
        "published": [f"{x:.1f} [{sources.index(s) + 1}]" for x, s in zip(own["theirs"], own["source"], strict=True)],
        "here": [f"{x:.1f}" for x in own["ours"]],
        "95 % interval": ["-" if math.isnan(low) else f"{low:.1f} to {high:.1f}" for low, high in ends],
        "place published": [f"{x:g}" for x in places["theirs"]],
        "place here": [f"{x:g}" for x in places["ours"]],
        "places better here": [f"{x:+g}" for x in places["theirs"] - places["ours"]],
    }
    cells = pd.DataFrame(columns, index=own.index, dtype=object)
    about = [*notes("validity", suite=made.suite, backbone=made.backbone)]
    about += [f"[{number}]: {source}." for number, source in enumerate(sources, 1)]
    return Table(f"{made.title}, beside {made.suite}", tuple(about), cells, nothing_best(cells))
