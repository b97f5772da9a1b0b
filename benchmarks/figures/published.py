"""Figure 1 of Adapter-X (arXiv:2406.03051): accuracy against parameters. Its points are hollow, ours are filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks import published, suites
from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing, names
from benchmarks.figures.names import Name
from benchmarks.figures.pareto import Point, frontier
from benchmarks.published import Panel
from benchmarks.tables import statistics
from benchmarks.tables.rows import group_mean, of_present, scores, tasks_and_groups

LOOK: dict[str, Any] = {"fmt": "o", "markersize": 6, "capsize": 2.5, "elinewidth": 0.8}


@dataclass(frozen=True, kw_only=True)
class Points:
    """The points of a paper, or of one group of our comparable runs.

    ``x`` is in percent of the full model's parameters, ``y`` the accuracy in percent, and ``error`` half of its 95 %
    interval over seeds: NaN for one seed, an empty list for a paper.
    """

    label: str
    names: list[str]
    x: list[float]
    y: list[float]
    error: list[float]


def panels() -> dict[str, Panel]:
    """Return the panel of each suite that has one."""
    found = {name: suites.get(name) for name in suites.table()}
    return {name: suite.panel for name, suite in found.items() if suite.panel and suite.published}


def theirs(suite: str, panel: Panel) -> Points:
    """Return the points of the paper's figure."""
    numbers = published.numbers(suites.get(suite).published).dropna(subset="params_percent")
    found = numbers[(numbers["suite"] == suite) & (numbers["task"] == panel.task)]
    return Points(
        label="Adapter-X, figure 1 (digitised; checkpoint rule and seeds not stated)",
        names=list(found["method"]),
        x=list(found["params_percent"]),
        y=list(found["accuracy"]),
        error=[],
    )


def ours(suite: str, panel: Panel, frame: pd.DataFrame) -> Points | None:
    """Return our points of one group of comparable runs, or None if no run has all tasks of the paper's aggregate."""
    tasks, groups = tasks_and_groups(frame)
    images = panel.task == published.GROUP_MEAN
    if not (set(suites.get(suite).tasks) if images else {panel.task}) <= set(tasks):
        return None
    runs = scores(frame, tasks if images else [panel.task]).dropna()
    if runs.empty:  # no row and seed has all tasks
        return None
    seeds = (group_mean(runs, groups) if images else runs.mean(axis=1)).unstack()
    low, high = statistics.intervals(seeds.to_numpy())
    rows = frame.groupby("row")[["params.method", "params.head", "params.backbone"]].mean().loc[seeds.index]
    method, head, body = (rows[f"params.{part}"] for part in ("method", "head", "backbone"))
    share = method.where(method > 0, head) / body if images else (method + head) / (body + head)
    first, counts = frame.iloc[0], seeds.notna().sum(axis=1)
    augment = "" if images else f", augment {first['spec.recipe.augment']}"
    most = f" to {counts.max()}" if counts.max() > counts.min() else ""
    return Points(
        label=f"ours: {first['spec.backbone.name']}{augment}, rule {first['accuracy.checkpoint_rule']}, "
        f"seeds {counts.min()}{most}",
        names=list(map(str, seeds.index)),
        x=list(100 * share),
        y=list(seeds.mean(axis=1)),
        error=list((high - low) / 2),
    )


def series(suite: str, groups: Sequence[pd.DataFrame]) -> list[Points]:
    """Return the points of the paper, then our points of each group of comparable runs that has the tasks."""
    panel = panels()[suite]
    own = (ours(suite, panel, group) for group in of_present(suite, groups)[0])
    return [theirs(suite, panel), *filter(None, own)]


def write(groups: Sequence[pd.DataFrame], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write the figure as .png, .svg and .pdf into ``out``, with our points of ``groups`` of comparable runs.

    The method ``highlight`` stands out.
    """
    matplotlib.use("Agg")
    with plt.rc_context(drawing.STYLE):
        shown = panels()
        figure, axes = plt.subplots(1, len(shown), figsize=(6 * len(shown), 6.5), layout="constrained", squeeze=False)
        drawn = [series(suite, groups) for suite in shown]
        for axis, panel, points in zip(axes[0], shown.values(), drawn, strict=True):
            _panel(axis, panel, points, highlight)
        figure.draw_without_rendering()  # computes the layout, which must be fixed before names are placed
        figure.set_layout_engine("none")
        for axis, points in zip(axes[0], drawn, strict=True):
            _label(axis, points, highlight)
        return drawing.write(figure, published.FIGURE, out)


def _panel(axis: Axes, panel: Panel, drawn: Sequence[Points], highlight: str) -> None:
    for number, points in enumerate(drawn):
        filled: dict[str, Any] = {} if number else {"mfc": "white"}
        for x, y, error, color in zip(
            points.x, points.y, points.error or repeat(None), _inks(points, highlight), strict=False
        ):
            axis.errorbar(x, y, yerr=error, color=color, **LOOK, **filled)
        axis.errorbar([], [], color=drawing.WORDS, label=drawing.plain(points.label), **LOOK, **filled)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.margins(x=0.12, y=0.12)
    low, high = axis.get_ylim()
    more = max(drawing.LEAST - (high - low), 0) / 2
    axis.set_ylim(low - more, high + more)
    if len(drawn) == 1:
        axis.errorbar([], [], color=drawing.WORDS, label="this benchmark: no run records yet", **LOOK)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), frameon=False, fontsize=7.5)
    axis.set_title(drawing.plain(panel.title), loc="left")
    axis.set_xlabel(f"trained parameters, % of the full model, {drawing.plain(panel.counted)}")
    axis.set_ylabel(drawing.plain(panel.accuracy))
    axis.grid(True, color="0.93", zorder=0)


def _inks(points: Points, highlight: str, *, text: bool = False) -> list[str]:
    """Return the color of each point: on the frontier of its series, of the highlighted method, or another."""
    made = [Point(name, x, y, 0.0) for name, x, y in zip(points.names, points.x, points.y, strict=True)]
    best = frontier(made)
    return [drawing.ink(point.name.split()[0] == highlight, point in best, text=text) for point in made]


def _label(axis: Axes, drawn: Sequence[Points], highlight: str) -> None:
    """Write the name of every point in its color."""
    spots = [(x, y) for points in drawn for x, y in zip(points.x, points.y, strict=True)]
    texts = [name for points in drawn for name in points.names]
    inks = [color for points in drawn for color in _inks(points, highlight, text=True)]
    bars = [
        ((x, y - error), (x, y + error))
        for points in drawn
        for x, y, error in zip(points.x, points.y, points.error, strict=False)
        if error == error  # not NaN
    ]
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    names.write(axis, [Name(*each) for each in zip(texts, spots, inks, strict=True)], spots, bars)
