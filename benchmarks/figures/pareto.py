"""Accuracy against trained parameters, with the Pareto frontier of each group of comparable runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing, names
from benchmarks.figures.names import Line, Name
from benchmarks.tables.headings import heading
from benchmarks.tables.intervals import means
from benchmarks.tables.rows import in_figures
from benchmarks.tables.summary import FEWEST_SEEDS

MOST_NAMED = 25  # of more points, only those of the frontier and the highlighted ones have a name and an interval
WIDTH, AXIS, LEFT, RIGHT, TOP, BOTTOM = 9.6, 4.6, 0.68, 0.1, 0.5, 0.48  # inches: a panel and the margins of its axes
BELOW = "v"  # marks an accuracy below the end of the axis
BARS: dict[str, Any] = {"capsize": 2.5, "elinewidth": 0.8, "fmt": "none"}


@dataclass(frozen=True)
class Point:
    """A point: trained parameters without the head, mean accuracy (%) and half its 95 % interval."""

    name: str
    params: float
    accuracy: float
    error: float
    highlighted: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The content of one plot: the points of a group of comparable runs."""

    title: str
    points: list[Point]
    accuracy: str  # what the vertical axis shows
    note: str
    whole: bool = False  # the axis has every point and every interval


def points(frame: pd.DataFrame, highlight: str = HIGHLIGHT) -> list[Point]:
    """Make one point per row of comparable runs, from the seeds that have every task.

    With two to four seeds, a point has no interval: so few say too little about other seeds.
    """
    mean, half, counts = means(frame)
    half = half.where((counts == 1) | (counts >= FEWEST_SEEDS))
    rows = frame.groupby("row")
    found = pd.DataFrame({"params": rows["params.method"].mean(), "mean": mean.iloc[:, 0]})
    found["error"] = half.iloc[:, 0].fillna(0.0)  # nor has a single seed by a metric that is no share of samples
    chosen = rows["spec.method"].first() == highlight
    found["highlighted"] = chosen & (not chosen.all())  # where all rows are of this method, none stands out
    return [Point(str(row), *values) for row, *values in found.dropna().itertuples()]


def frontier(made: Sequence[Point]) -> list[Point]:
    """Return the points that no other point beats with as many or fewer parameters, in the order of parameters."""
    best: list[Point] = []
    for point in sorted(made, key=lambda p: (p.params, -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def _panel(frame: pd.DataFrame, made: Sequence[Point]) -> Panel:
    first, (short, ending) = frame.iloc[0], in_figures(frame["row"].unique())
    tasks, counts = frame["spec.task"].nunique(), means(frame)[2].iloc[:, 0]
    seeds = sorted({int(counts[point.name]) for point in made if point.error})
    several = [str(count) for count in seeds if count > 1]
    over = [f"Student's t over {' or '.join(several)} seeds"] * bool(several)
    over += [f"binomial, of the test split{' for one seed' if several else ''}"] * (1 in seeds)
    bars = f"bars: 95 % interval ({'; '.join(over)}); " if over else ""
    return Panel(
        title=heading(frame),
        points=sorted((replace(point, name=short[point.name]) for point in made), key=lambda p: p.name),
        accuracy=f"test {first['metric']}, {f'mean of {tasks} tasks' if tasks > 1 else first['spec.task']} (%)",
        note=f"{first['suite']} on {first['spec.backbone.name']}{ending}; {bars}"
        f"checkpoint rule {first['accuracy.checkpoint_rule']}; dashed line: Pareto frontier",
    )


def write(groups: Sequence[pd.DataFrame], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write pareto.png, .svg and .pdf into ``out``, with one panel per group of comparable runs that has points.

    The points of the method ``highlight`` stand out. Returns the paths; without a panel nothing is written.
    """
    made = [_panel(group, found) for group in groups if (found := points(group, highlight))]
    return draw(made, "pareto", out) if made else []


def draw(made: Sequence[Panel], name: str, out: Path) -> list[Path]:
    """Write panels, one below the other, as ``out``/NAME.png, .svg and .pdf. Returns the paths."""
    matplotlib.use("Agg")
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
            _draw(axis, panel)
        return drawing.write(figure, name, out)


def _draw(axis: Axes, panel: Panel) -> None:
    made, best = panel.points, frontier(panel.points)
    trained = [p.params for p in made if p.params > 0] or [1.0]
    left = min(trained) / 6  # for methods that train the head alone: a logarithmic axis has no zero
    axis.set_xscale("log")
    axis.set_xlim(left / 2, max(trained) * 2.5)
    axis.set_ylim(*drawing.window([p.accuracy for p in made], [p.error for p in made], whole=panel.whole))
    axis.grid(True, color="0.93", zorder=0)
    if any(p.params == 0 for p in made):
        gap = (left * min(trained)) ** 0.5
        axis.axvline(gap, color="0.85", linewidth=6, zorder=0)
        major, minor = axis.xaxis.get_majorticklocs(), axis.xaxis.get_minorticklocs()
        axis.xaxis.set_major_locator(FixedLocator(major[major > gap]))  # left of the gap there are no numbers
        axis.xaxis.set_minor_locator(FixedLocator(minor[minor > gap]))
        axis.text(left, 0.99, "head only", transform=axis.get_xaxis_transform(), ha="center", va="top", color="0.4")
    turns = [*((p.params or left, p.accuracy) for p in best), (max(trained) * 2.5, best[-1].accuracy)]
    axis.step(*zip(*turns, strict=True), where="post", color=drawing.FRONTIER, linewidth=1.1, linestyle="--", zorder=1)
    steps = [
        end for (x, y), (right, up) in pairwise(turns) for end in (((x, y), (right, y)), ((right, y), (right, up)))
    ]
    _points(axis, made, best, left, steps)
    axis.set_title(drawing.plain(panel.title), loc="left", pad=18)
    axis.set_xlabel("trained parameters without the head")
    axis.set_ylabel(drawing.plain(panel.accuracy))
    axis.text(0, 1.015, drawing.plain(panel.note), transform=axis.transAxes, va="bottom", fontsize=7, color="0.4")


def _points(axis: Axes, made: Sequence[Point], best: Sequence[Point], left: float, steps: Sequence[Line]) -> None:
    """Draw all points, with intervals and names if they are few or those of the frontier, or highlighted.

    A point below the axis is a triangle on its line, with its accuracy beside its name and without an interval.
    """
    low = axis.get_ylim()[0]
    spots = {p.name: (p.params or left, max(p.accuracy, low)) for p in made}
    named = [p for p in made if len(made) <= MOST_NAMED or p in best or p.highlighted]
    lines, written = list(steps), list[Name]()
    for p in sorted(made, key=lambda p: (p.highlighted, p in best)):
        look: dict[str, Any] = {"color": drawing.ink(p.highlighted, p in best), "markersize": 6 if p in named else 3}
        if p.accuracy < low:
            axis.plot(*spots[p.name], BELOW, clip_on=False, **look)
            continue
        axis.plot(*spots[p.name], "o", **look)
        ends = max(p.accuracy - p.error, 0.0), min(p.accuracy + p.error, 100.0)
        if p in named and p.error:
            lines.append(((spots[p.name][0], ends[0]), (spots[p.name][0], ends[1])))
            axis.errorbar(
                *spots[p.name], yerr=[[p.accuracy - ends[0]], [ends[1] - p.accuracy]], color=look["color"], **BARS
            )
    for p in sorted(named, key=lambda p: (p not in best, not p.highlighted, -p.accuracy)):
        text = p.name if p.accuracy >= low else f"{p.name} {p.accuracy:.1f}"
        written.append(Name(text, spots[p.name], drawing.ink(p.highlighted, p in best, text=True)))
    names.write(axis, written, list(spots.values()), lines)
