"""Accuracy against trained parameters, with the Pareto frontier of each group of comparable runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes

from benchmarks.figures import drawing
from benchmarks.tables.intervals import means
from benchmarks.tables.rows import in_figures

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#7F7F7F", "#BCBD22")
MARKERS = "osD^vP*Xph"
MOST_NAMED = 25  # with more points, only those of the frontier have a color, a name and an interval
WIDTH, AXIS, LEFT, RIGHT, TOP, BOTTOM = 9.6, 4.6, 0.68, 0.1, 0.32, 0.48  # inches: a panel and the margins of its axes
EACH: dict[str, Any] = {"ms": 6, "capsize": 2.5, "linewidth": 1, "elinewidth": 0.8, "alpha": 0.9, "linestyle": ""}
BELOW = "v"  # marks an accuracy below the end of the axis


@dataclass(frozen=True)
class Point:
    """A point: trained parameters without the head, mean accuracy (%) and half its 95 % interval."""

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
    mean, half, _ = means(frame)
    found = pd.DataFrame({"params": frame.groupby("row")["params.method"].mean(), "mean": mean.iloc[:, 0]})
    found["error"] = half.iloc[:, 0].fillna(0.0)  # a single seed by a metric that is no share of samples has none
    return [Point(str(row), *values) for row, *values in found.dropna().itertuples()]


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
    over = f"Student's t over {seeds} seeds" if seeds > 1 else "binomial, of the test split, 1 seed"
    bars = f"bars: 95 % interval ({over})"
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
    low, high = drawing.window([p.accuracy for p in made], [p.error for p in made])
    axis.set_xscale("log")
    axis.set_xlim(left / 2, max(trained) * 2.5)
    axis.set_ylim(low, high)
    crowded = len(made) > MOST_NAMED
    if crowded:
        _crowd(axis, made, places, low)
    else:
        _each(axis, made, names, places, low)
    if any(p.params == 0 for p in made):
        axis.axvline((left * min(trained)) ** 0.5, color="0.85", linewidth=6, zorder=0)
        axis.text(left, 0.99, "head only", transform=axis.get_xaxis_transform(), ha="center", va="top", color="0.4")
    if not crowded:
        _label(axis, made, places, low)
    axis.set_title(drawing.plain(panel.title), loc="left")
    axis.set_xlabel("trained parameters without the head")
    axis.set_ylabel(drawing.plain(panel.accuracy))
    axis.text(
        1, 1.0, drawing.plain(panel.note), transform=axis.transAxes, ha="right", va="bottom", fontsize=7, color="0.4"
    )
    axis.grid(True, color="0.93", zorder=0)


def _each(axis: Axes, made: Sequence[Point], names: Sequence[str], places: dict[str, float], low: float) -> None:
    """Draw every point with its interval. Its place in ``names`` decides its color and marker."""
    for point in made:
        i = names.index(point.name)
        look = {**EACH, "color": COLORS[i % len(COLORS)]}
        _point(axis, point, places[point.name], low, {**look, "marker": MARKERS[i % len(MARKERS)]})


def _point(axis: Axes, point: Point, place: float, low: float, look: dict[str, Any]) -> None:
    """Draw one point with its interval. A point below the axis is a triangle on the line of the axis, without one."""
    if point.accuracy < low:
        axis.errorbar(place, low, **{**look, "marker": BELOW, "clip_on": False})
    else:
        error = [[point.error], [min(point.error, max(100 - point.accuracy, 0.0))]]  # no accuracy is above 100 %
        axis.errorbar(place, point.accuracy, yerr=error if point.error else None, **look)


def _crowd(axis: Axes, made: Sequence[Point], places: dict[str, float], low: float) -> None:
    """Draw many points: those of the frontier with intervals and with numbers that a list explains, others in grey."""
    best = frontier(made)
    grey: dict[str, Any] = {"color": "0.75", "markersize": 3, "zorder": 0.5, "marker": "o", "linestyle": ""}
    blue: dict[str, Any] = {**grey, "color": COLORS[0], "markersize": 4, "capsize": 2, "elinewidth": 0.6, "zorder": 1.5}
    for point in made:
        if point in best:
            _point(axis, point, places[point.name], low, blue)
        else:
            _point(axis, replace(point, error=0.0), places[point.name], low, grey)
    for number, point in enumerate(best, start=1):
        spot = places[point.name], max(point.accuracy, low)
        axis.annotate(str(number), spot, (-3, 3), textcoords="offset points", fontsize=7, ha="right")
    listed = "\n".join(f"{number}  {drawing.plain(_named(point, low))}" for number, point in enumerate(best, start=1))
    # the corner above the frontier is empty
    axis.text(0.01, 0.99, listed, transform=axis.transAxes, fontsize=6, va="top", linespacing=1.1)


def _named(point: Point, low: float) -> str:
    """Return the name of a point, with its accuracy if it is below the axis."""
    return point.name if point.accuracy >= low else f"{point.name} {point.accuracy:.1f}"


def _label(axis: Axes, made: Sequence[Point], places: dict[str, float], low: float) -> None:
    """Write the name of every point where it covers neither points nor other names.

    A line joins a point and a name that is far from it.
    """
    x, y = [places[p.name] for p in made], [max(p.accuracy, low) for p in made]
    texts = [
        axis.text(across, up, drawing.plain(_named(point, low)), fontsize=8.5)
        for across, up, point in zip(x, y, made, strict=True)
    ]
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4}
    adjust_text(texts, x=x, y=y, ax=axis, expand=(1.2, 1.6), max_move=None, arrowprops=line, iter_lim=600)
