"""Accuracy against shots: one line per method, with the numbers of papers as hollow points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from benchmarks import published, suites
from benchmarks.figures import drawing
from benchmarks.tables import statistics
from benchmarks.tables.rows import in_figures
from benchmarks.tables.shots import over_sets, tasks_by_shots

FEWEST = 2  # numbers of shots that make a line
MARKERS = "osD^vP*X"


def write(groups: Sequence[pd.DataFrame], out: Path) -> list[Path]:
    """Write shots.png, .svg and .pdf into ``out``, with one panel per group of comparable few-shot runs.

    Returns the paths; nothing is written if no group has several numbers of shots.
    """
    matplotlib.use("Agg")
    drawn = [group for group in groups if len(tasks_by_shots(group)) >= FEWEST]
    if not drawn:
        return []
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(1, len(drawn), figsize=(7 * len(drawn), 4.8), layout="constrained", squeeze=False)
        for axis, group in zip(axes[0], drawn, strict=True):
            _panel(axis, group)
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


def _panel(axis: Axes, frame: pd.DataFrame) -> None:
    by_shots = tasks_by_shots(frame)
    runs = over_sets(frame, by_shots)
    means = runs.groupby("row").mean()
    names, ending = in_figures(map(str, means.index))
    colors, printed, own = dict[str, str](), papers(frame), list[Any]()
    best_first = means.iloc[:, -1].sort_values(ascending=False, kind="stable").index
    for number, row in enumerate(best_first):
        low, high = statistics.intervals(runs.loc[row].T.to_numpy())
        method = str(frame.loc[frame["row"] == row, "spec.method"].iloc[0])
        color = colors.setdefault(method, f"C{number % 10}")
        look: dict[str, Any] = {
            "color": color,
            "marker": MARKERS[number // 10 % len(MARKERS)],
            "label": drawing.plain(names[str(row)]),
        }
        sizes: dict[str, Any] = {"markersize": 4.5, "linewidth": 1.3, "capsize": 2.5, "elinewidth": 0.8}
        own.append(axis.errorbar(means.columns, means.loc[row], yerr=(high - low) / 2, **look, **sizes))
    theirs: list[Line2D] = []
    for method, accuracies in printed.items():
        color = colors.get(method, "0.45")
        hollow: dict[str, Any] = {
            "color": color,
            "marker": "o",
            "markerfacecolor": "white",
            "markersize": 4.5,
            "linestyle": ":",
            "linewidth": 0.9,
        }
        theirs += axis.plot(accuracies.index, accuracies, label=drawing.plain(f"{method} (paper)"), zorder=1, **hollow)
    axis.set_xscale("log", base=2)
    axis.set_xticks(list(by_shots), list(map(str, by_shots)))
    first, sets = frame.iloc[0], sorted({len(tasks) for tasks in by_shots.values()})
    axis.set_xlabel("training samples per class")
    axis.set_ylabel(f"test accuracy, mean over {' or '.join(map(str, sets))} sets (%)")
    axis.set_title(drawing.plain(f"{first['suite']}: {first['spec.backbone.name']}{ending}"), fontsize=10)
    axis.grid(True, color="0.93", zorder=0)
    axis.legend(handles=[*own, *theirs], frameon=False, fontsize=7.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
