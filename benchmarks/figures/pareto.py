"""Accuracy against trained parameters, with the Pareto frontier of each group of comparable runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes

from benchmarks.figures import drawing
from benchmarks.tables.rows import in_figures
from benchmarks.tables.statistics import half_width

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#7F7F7F", "#BCBD22")
MARKERS = "osD^vP*Xph"
MOST_NAMED = 25  # with more points, only those of the frontier have a color, a name and an interval
WIDTH, AXIS, LEFT, RIGHT, TOP, BOTTOM = 9.6, 4.6, 0.68, 0.1, 0.32, 0.48  # inches: a panel and the margins of its axes
EACH: dict[str, Any] = {"ms": 6, "capsize": 2.5, "linewidth": 1, "elinewidth": 0.8, "alpha": 0.9, "linestyle": ""}
FAR = 3.5  # the axis ends this many times as far below the median as the best point is above it


@dataclass(frozen=True)
class Point:
    """A point: trained parameters without the head, mean accuracy (%) and half its 95 % interval over seeds."""

    name: str
    params: float
    accuracy: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The content of one plot: the points of a group of comparable runs, and the names of all its rows."""

    title: str
    points: list[Point]
    rows: list[str]
    accuracy: str  # what the vertical axis shows
    note: str


def points(frame: pd.DataFrame) -> list[Point]:
    """Make one point per row of comparable runs, from the seeds that have every task."""
    whole = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test").dropna()
    if whole.shape[1] < frame["spec.task"].nunique():
        return []
    seeds = (100 * whole.mean(axis=1)).groupby(level="row").agg(["mean", "sem", "count"])
    errors = half_width(seeds["sem"].to_numpy(), seeds["count"].to_numpy() - 1)
    seeds = seeds.assign(error=errors, params=frame.groupby("row")["params.method"].mean())
    seeds["error"] = seeds["error"].fillna(0.0)  # a single seed has no interval
    return [Point(str(row), *found) for row, *found in seeds[["params", "mean", "error"]].itertuples()]


def frontier(made: Sequence[Point]) -> list[Point]:
    """Return the points that no other point beats with as many or fewer parameters, in the order of parameters."""
    best: list[Point] = []
    for point in sorted(made, key=lambda p: (p.params, -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def _panel(frame: pd.DataFrame, made: Sequence[Point]) -> Panel:
    first, (names, ending) = frame.iloc[0], in_figures(frame["row"].unique())
    tasks, seeds = frame["spec.task"].nunique(), frame["spec.seed"].nunique()
    bars = f"bars: 95 % t-interval over {seeds} seeds" if seeds > 1 else "1 seed"
    return Panel(
        title=f"{first['suite']}, {first['spec.backbone.modality']}: {first['spec.backbone.name']}{ending}",
        points=sorted((replace(point, name=names[point.name]) for point in made), key=lambda p: p.name),
        rows=list(names.values()),
        accuracy=f"test {first['metric']}, {f'mean of {tasks} tasks' if tasks > 1 else first['spec.task']} (%)",
        note=f"{bars}; checkpoint rule {first['accuracy.checkpoint_rule']}; dashed line: Pareto frontier",
    )


def write(groups: Sequence[pd.DataFrame], out: Path) -> list[Path]:
    """Write pareto.png, .svg and .pdf into ``out``, with one panel per group of comparable runs that has points.

    Returns the paths; without a panel nothing is written.
    """
    matplotlib.use("Agg")
    made = [_panel(group, found) for group in groups if (found := points(group))]
    if not made:
        return []
    names = sorted({row for panel in made for row in panel.rows})  # a row has the same color and marker in all panels
    with plt.rc_context(drawing.STYLE):
        height = TOP + AXIS + BOTTOM
        figure, axes = plt.subplots(len(made), 1, figsize=(WIDTH, height * len(made)), squeeze=False)
        figure.subplots_adjust(
            left=LEFT / WIDTH,
            right=1 - RIGHT / WIDTH,
            top=1 - TOP / height / len(made),
            bottom=BOTTOM / height / len(made),
            hspace=(TOP + BOTTOM) / AXIS,
        )
        for axis, panel in zip(axes[:, 0], made, strict=True):
            _draw(axis, panel, names)
        return drawing.write(figure, "pareto", out)


def _draw(axis: Axes, panel: Panel, names: Sequence[str]) -> None:
    made = panel.points
    trained = [p.params for p in made if p.params > 0] or [1.0]
    left = min(trained) / 6  # for methods that train the head alone: a logarithmic axis has no zero
    places = {p.name: p.params or left for p in made}
    best = frontier(made)
    steps = [*[(places[p.name], p.accuracy) for p in best], (max(trained) * 2.5, best[-1].accuracy)]
    axis.step(*zip(*steps, strict=True), where="post", color="0.6", linewidth=1.2, linestyle="--", zorder=1)
    floor = _floor(made)
    crowded = len(made) > MOST_NAMED
    if crowded:
        _crowd(axis, made, places, floor)
    else:
        _each(axis, made, names, places, floor)
    axis.set_xscale("log")
    axis.set_xlim(left / 2, max(trained) * 2.5)
    if any(p.params == 0 for p in made):
        axis.axvline((left * min(trained)) ** 0.5, color="0.85", linewidth=6, zorder=0)
        axis.text(left, 0.01, "head only", transform=axis.get_xaxis_transform(), ha="center", va="bottom", color="0.4")
    height = max(best[-1].accuracy - floor, 1.0)
    axis.set_ylim(floor - 0.1 * height, best[-1].accuracy + 0.2 * height)
    if not crowded:
        _label(axis, made, places, floor)
    axis.set_title(drawing.plain(panel.title), loc="left")
    axis.set_xlabel("trained parameters without the head")
    axis.set_ylabel(drawing.plain(panel.accuracy))
    axis.text(
        1, 1.0, drawing.plain(panel.note), transform=axis.transAxes, ha="right", va="bottom", fontsize=7, color="0.4"
    )
    axis.grid(True, color="0.93", zorder=0)


def _each(axis: Axes, made: Sequence[Point], names: Sequence[str], places: dict[str, float], floor: float) -> None:
    """Draw every point with its interval. Its place in ``names`` decides its color and marker."""
    for point in made:
        below, i = point.accuracy < floor, names.index(point.name)
        axis.errorbar(
            places[point.name],
            max(point.accuracy, floor),
            yerr=None if below else point.error or None,
            color=COLORS[i % len(COLORS)],
            marker="v" if below else MARKERS[i % len(MARKERS)],
            label=point.name,
            **EACH,
        )


def _crowd(axis: Axes, made: Sequence[Point], places: dict[str, float], floor: float) -> None:
    """Draw many points: those of the frontier with intervals and with numbers that a list explains, others in grey."""
    best = frontier(made)
    others = [point for point in made if point not in best]
    grey: dict[str, Any] = {"color": "0.75", "markersize": 3, "zorder": 0.5}
    blue: dict[str, Any] = {"color": COLORS[0], "markersize": 4, "capsize": 2, "elinewidth": 0.6, "zorder": 1.5}
    for chosen, style in ((others, grey), (best, blue)):
        for below, marker in ((False, "o"), (True, "v")):
            some = [p for p in chosen if (p.accuracy < floor) == below]
            if some:
                across, up = [places[p.name] for p in some], [max(p.accuracy, floor) for p in some]
                errors = [p.error for p in some] if chosen is best and not below else None
                axis.errorbar(across, up, yerr=errors, marker=marker, linestyle="", **style)
    for number, point in enumerate(best, start=1):
        spot = places[point.name], max(point.accuracy, floor)
        axis.annotate(str(number), spot, (-3, 3), textcoords="offset points", fontsize=7, ha="right")
    listed = "\n".join(f"{number}  {drawing.plain(point.name)}" for number, point in enumerate(best, start=1))
    # the corner above the frontier is empty
    axis.text(0.01, 0.99, listed, transform=axis.transAxes, fontsize=6, va="top", linespacing=1.1)


def _label(axis: Axes, made: Sequence[Point], places: dict[str, float], floor: float) -> None:
    """Write the name of every point where it covers neither points nor other names.

    A line joins a point and a name that is far from it.
    """
    x, y = [places[p.name] for p in made], [max(p.accuracy, floor) for p in made]
    names = [p.name if p.accuracy >= floor else f"{p.name} {p.accuracy:.1f}" for p in made]
    texts = [
        axis.text(across, up, drawing.plain(name), fontsize=8.5) for across, up, name in zip(x, y, names, strict=True)
    ]
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4}
    adjust_text(texts, x=x, y=y, ax=axis, expand=(1.2, 1.6), max_move=None, arrowprops=line, iter_lim=600)


def _floor(made: Sequence[Point]) -> float:
    """Return the lower end of the axis.

    A point far below most others would squeeze them, so it is drawn at this end with its accuracy beside its name.
    """
    middle, best = median(p.accuracy for p in made), max(p.accuracy for p in made)
    return max(min(p.accuracy for p in made), middle - FAR * (best - middle))
