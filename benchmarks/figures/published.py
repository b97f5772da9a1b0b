"""Figure 1 of Adapter-X (arXiv:2406.03051): accuracy against parameters. Its points are hollow, ours are filled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes

from benchmarks import published, suites
from benchmarks.figures import drawing
from benchmarks.published import Panel
from benchmarks.tables import statistics
from benchmarks.tables.rows import of_present, scores, tasks_and_groups

COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
MARKERS = "sD^vP"


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
    """Return our points of one group of comparable runs, or None if it lacks a task of the paper's aggregate."""
    tasks, groups = tasks_and_groups(frame)
    images = panel.task == published.GROUP_MEAN
    if not (set(suites.get(suite).tasks) if images else {panel.task}) <= set(tasks):
        return None
    runs = scores(frame, tasks if images else [panel.task]).dropna()
    by_group = [runs[members].mean(axis=1) for members in groups.values()] if images else [runs.mean(axis=1)]
    seeds = (sum(by_group[1:], by_group[0]) / len(by_group)).unstack()
    low, high = statistics.intervals(seeds.to_numpy())
    rows = frame.groupby("row")[["params.method", "params.head", "params.backbone"]].mean().loc[seeds.index]
    method, head, body = (rows[f"params.{part}"] for part in ("method", "head", "backbone"))
    share = method.where(method > 0, head) / body if images else (method + head) / (body + head)
    first, counts = frame.iloc[0], seeds.notna().sum(axis=1)
    augment = "" if images else f", augment {first['spec.recipe.augment']}"
    most = f" to {counts.max()}" if counts.max() > counts.min() else ""
    return Points(
        label=f"here: {first['spec.backbone.name']}{augment}, rule {first['accuracy.checkpoint_rule']}, "
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


def write(groups: Sequence[pd.DataFrame], out: Path) -> list[Path]:
    """Write the figure as .png, .svg and .pdf into ``out``, with our points of ``groups`` of comparable runs."""
    matplotlib.use("Agg")
    with plt.rc_context(drawing.STYLE):
        shown = panels()
        figure, axes = plt.subplots(1, len(shown), figsize=(6 * len(shown), 6.5), layout="constrained", squeeze=False)
        drawn = [series(suite, groups) for suite in shown]
        for axis, panel, points in zip(axes[0], shown.values(), drawn, strict=True):
            _panel(axis, panel, points)
        figure.draw_without_rendering()  # computes the layout, which must be fixed before names are placed
        figure.set_layout_engine("none")
        for axis, points in zip(axes[0], drawn, strict=True):
            _label(axis, points)
        return drawing.write(figure, published.FIGURE, out)


def _panel(axis: Axes, panel: Panel, drawn: Sequence[Points]) -> None:
    looks: dict[str, Any] = {"markersize": 6, "capsize": 2.5, "elinewidth": 0.8}
    for number, points in enumerate(drawn):
        color = _color(number)
        looks |= {"fmt": MARKERS[(number - 1) % len(MARKERS)], "mfc": color} if number else {"fmt": "o", "mfc": "white"}
        axis.errorbar(
            points.x, points.y, yerr=points.error or None, color=color, label=drawing.plain(points.label), **looks
        )
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.margins(x=0.12, y=0.12)
    if len(drawn) == 1:
        axis.errorbar([], [], fmt="s", color=COLORS[0], label="this benchmark: no run records yet")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), frameon=False, fontsize=7.5)
    axis.set_title(drawing.plain(panel.title), loc="left")
    axis.set_xlabel(f"trained parameters, % of the full model, {drawing.plain(panel.counted)}")
    axis.set_ylabel(drawing.plain(panel.accuracy))
    axis.grid(True, color="0.93", zorder=0)


def _color(number: int) -> str:
    return "0.25" if number == 0 else COLORS[(number - 1) % len(COLORS)]


def _label(axis: Axes, drawn: Sequence[Points]) -> None:
    """Write the name of every point in its color, where it covers neither points nor other names."""
    texts = [
        axis.text(across, up, drawing.plain(name), fontsize=8, color=_color(number))
        for number, points in enumerate(drawn)
        for across, up, name in zip(points.x, points.y, points.names, strict=True)
    ]
    x, y = [v for points in drawn for v in points.x], [v for points in drawn for v in points.y]
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4}
    adjust_text(texts, x=x, y=y, ax=axis, expand=(1.1, 1.3), prevent_crossings=False, arrowprops=line, iter_lim=600)
