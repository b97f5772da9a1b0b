"""Accuracy against shots: one line per method, with the numbers of papers as hollow points on dashed lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks import published, suites
from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing
from benchmarks.figures.names import Name
from benchmarks.tables import statistics
from benchmarks.tables.headings import heading
from benchmarks.tables.rows import in_figures
from benchmarks.tables.shots import over_sets, tasks_by_shots

FEWEST = 2  # numbers of shots that make a line
OURS: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.3, "capsize": 2.5, "elinewidth": 0.8}
THEIRS: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markersize": 4.5, "linewidth": 0.9, "zorder": 1}
DASHES = (":", "--", "-.", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))  # tell the lines of papers apart
NAME = 0.032  # the height of a name, as a part of the axis


def write(groups: Sequence[pd.DataFrame], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write shots.png, .svg and .pdf into ``out``, with one panel per group of comparable few-shot runs.

    The method ``highlight`` stands out. Returns the paths; nothing is written if no group has several numbers of shots.
    """
    matplotlib.use("Agg")
    drawn = [group for group in groups if len(tasks_by_shots(group)) >= FEWEST]
    if not drawn:
        return []
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(1, len(drawn), figsize=(7 * len(drawn), 4.8), layout="constrained", squeeze=False)
        for axis, group in zip(axes[0], drawn, strict=True):
            _panel(axis, group, highlight)
        return drawing.write(figure, "shots", out)


def papers(frame: pd.DataFrame) -> dict[str, pd.Series[float]]:
    """Return what papers print for every method, by shots, where it is a mean over as many sets as ``frame`` has."""
    suite, by_shots = suites.get(str(frame["spec.suite"].iloc[0])), tasks_by_shots(frame)
    if not suite.published:
        return {}
    tasks = {f"{suite.tasks[own[0]].group} mean": (n, len(own)) for n, own in by_shots.items()}
    found = published.numbers(suite.published)
    found = found[(found["suite"] == suite.name) & found["task"].isin(tasks)]
    found = found[found["task"].map(lambda task: tasks[task][1]) == found["tasks"]]
    shots = found["task"].map(lambda task: tasks[task][0])
    return {
        str(method): own.set_index(shots[own.index])["accuracy"].sort_index()
        for method, own in found.groupby("method", sort=False)
    }


def _panel(axis: Axes, frame: pd.DataFrame, highlight: str) -> None:
    by_shots = tasks_by_shots(frame)
    runs = over_sets(frame, by_shots)
    means = runs.groupby("row").mean()
    short, ending = in_figures(map(str, means.index))
    first = frame.iloc[0]
    methods = frame.groupby("row")["spec.method"].first()
    # the rows that are the best for some number of shots
    best = set(map(str, means.dropna(axis=1, how="all").idxmax()))
    ends = list[Name]()
    for row in map(str, means.index):
        own = means.T[row]
        low, high = statistics.intervals(runs.loc[[row]].T.to_numpy())
        chosen, ahead = methods[row] == highlight, row in best
        look: dict[str, Any] = {
            "color": drawing.ink(chosen, ahead),
            "marker": "o",
            "zorder": 2 + chosen + ahead,
            **OURS,
        }
        axis.errorbar(means.columns, own, yerr=(high - low) / 2, **look)
        ends.append(_end(short[row], own, drawing.ink(chosen, ahead, text=True)))
    for place, (method, printed) in enumerate(papers(frame).items()):
        look = {"color": drawing.ink(method == highlight), "linestyle": DASHES[place % len(DASHES)], **THEIRS}
        axis.plot(printed.index, printed, **look)
        ends.append(_end(f"{method} (paper)", printed, drawing.ink(method == highlight, text=True)))
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(by_shots), list(map(str, by_shots)))
    sets = sorted({len(tasks) for tasks in by_shots.values()})
    axis.set_xlabel("training samples per class")
    axis.set_ylabel(f"test accuracy, mean over {' or '.join(map(str, sets))} sets (%)")
    axis.set_title(drawing.plain(heading(frame)), loc="left", pad=18)
    note = f"{first['suite']} on {first['spec.backbone.name']}{ending}; hollow points: printed in papers"
    axis.text(0, 1.015, drawing.plain(note), transform=axis.transAxes, va="bottom", fontsize=7, color="0.4")
    axis.grid(True, color="0.93", zorder=0)
    _name(axis, ends)


def _end(text: str, line: pd.Series[float], color: str) -> Name:
    known = line.dropna()
    return Name(text, (float(known.index[-1]), float(known.iloc[-1])), color)


def _name(axis: Axes, ends: Sequence[Name]) -> None:
    """Write the name of every line right of the axis, as near to its last value as the other names let."""
    low, high = axis.get_ylim()
    rising = sorted(ends, key=lambda end: end.spot[1])
    places: list[float] = []
    for end in rising:
        places.append(max((end.spot[1] - low) / (high - low), places[-1] + NAME if places else 0.0))
    for place, end in enumerate(rising):
        up = min(places[place], 1 - NAME * (len(rising) - 1 - place))
        line = {"arrowstyle": "-", "color": "0.8", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
        where: dict[str, Any] = {"xytext": (1.05, up), "textcoords": "axes fraction", "annotation_clip": False}
        axis.annotate(
            drawing.plain(end.text), end.spot, **where, color=end.color, arrowprops=line, va="center", fontsize=7.5
        )
