"""The forest plot of an ablation: how much each change to a method's default options changes its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing
from benchmarks.tables.headings import heading
from benchmarks.tables.rows import scores, tasks_and_groups
from benchmarks.tables.statistics import compare

FEWEST = 3  # options that are changed, one at a time; fewer are no ablation
ROW, EDGE, WIDTH = 0.3, 1.15, 9.6  # inches: a change, the title and the axis of a panel, the figure


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of one option, and the difference to the default options in percentage points.

    ``low`` and ``high`` are the ends of the wider of both 95 % intervals of the leaderboard at each side, so the change
    is tied with the default if they include zero.
    """

    name: str
    difference: float
    low: float
    high: float


def changed(frame: pd.DataFrame) -> list[str]:
    """Return the changes of an ablation, such as "heads=1"; none if the comparable runs are no ablation.

    In an ablation all rows are of one method: one has its default options, and each other row changes one option.
    """
    method = str(frame["spec.method"].iloc[0])
    rows = list(map(str, frame["row"].unique()))
    found = [row.removeprefix(f"{method} ") for row in rows if row != method]
    single = all(change.count("=") == 1 and " " not in change for change in found)
    several = len({change.partition("=")[0] for change in found}) >= FEWEST
    return found if method in rows and frame["spec.method"].nunique() == 1 and single and several else []


def changes(frame: pd.DataFrame) -> list[Change]:
    """Compare every change of an ablation with the default options, the best first."""
    method, runs = str(frame["spec.method"].iloc[0]), scores(frame, tasks_and_groups(frame)[0])
    made = []
    for change in changed(frame):
        own, default = (runs.loc[[row]].droplevel(0) for row in (f"{method} {change}", method))
        gaps = (own - default).dropna(how="all")
        if gaps.empty:  # it has no task and seed in common with the default
            continue
        found = compare(gaps.T)
        (low, high), (left, right) = found.over_tasks_and_seeds, found.over_seeds
        made.append(Change(name=change, difference=found.difference, low=min(low, left), high=max(high, right)))
    return sorted(made, key=lambda change: -change.difference)


def write(groups: Sequence[pd.DataFrame], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write forest.png, .svg and .pdf into ``out``, with one panel per group of comparable runs that is an ablation.

    Returns the paths; without a panel nothing is written. The line of the default options has the color of the method.
    """
    matplotlib.use("Agg")
    made = [(group, changes(group)) for group in groups if changed(group)]
    if not made:
        return []
    heights = [EDGE + ROW * len(found) for _, found in made]
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(
            len(made), 1, figsize=(WIDTH, sum(heights)), height_ratios=heights, layout="constrained", squeeze=False
        )
        for axis, (group, found) in zip(axes[:, 0], made, strict=True):
            _draw(axis, group, found, highlight)
        return drawing.write(figure, "forest", out)


def _draw(axis: Axes, frame: pd.DataFrame, found: Sequence[Change], highlight: str) -> None:
    first, method = frame.iloc[0], str(frame["spec.method"].iloc[0])
    axis.set_axisbelow(True)
    axis.axvline(0, color=drawing.ink(method == highlight), linewidth=1.2, zorder=1)
    for place, change in enumerate(found):
        error = [[change.difference - change.low], [change.high - change.difference]]
        axis.errorbar(change.difference, place, xerr=error, fmt="o", color=drawing.WORDS, capsize=2.5, elinewidth=1)
        ends = f"{change.difference:+.2f}"
        if not math.isnan(change.low):  # a task with fewer than two seeds has no interval
            ends += f"  ({change.low:+.2f} to {change.high:+.2f})"
        axis.text(1.01, place, ends, transform=axis.get_yaxis_transform(), va="center", fontsize=7.5, color="0.3")
    axis.set_yticks(range(len(found)), [drawing.plain(change.name) for change in found])
    axis.set_ylim(len(found) - 0.4, -0.6)
    axis.grid(True, axis="x", color="0.93", zorder=0)
    axis.set_title(drawing.plain(f"{heading(frame)}: changes to {method}"), loc="left", pad=18)
    note = (
        f"{first['suite']} on {first['spec.backbone.name']}; bars: the wider ends of both 95 % intervals of the "
        "leaderboard, so a bar that includes 0 is a tie"
    )
    axis.text(0, 1.02, drawing.plain(note), transform=axis.transAxes, va="bottom", fontsize=7, color="0.4")
    axis.set_xlabel(f"difference to {drawing.plain(method)} in test {first['metric']} (percentage points)")
