"""python -m benchmarks.pareto: accuracy against trained parameters, with the Pareto frontier of each modality."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import guarded

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8C564B", "#7F7F7F", "#BCBD22")
MARKERS = "osD^vP*Xph"
MOST_NAMED = 40  # of more points only the frontier's are coloured, named and have their intervals
FAR = 3.5  # times as far below the median as the best is above it
FORMATS = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Point:
    """One method: trained parameters without the head, mean accuracy (%) and half its 95 % interval over seeds."""

    name: str
    params: float
    accuracy: float
    error: float


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.pareto", description=__doc__)
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument("--suite", default="offline", metavar="NAME", help="default: offline")
    p.add_argument("-o", "--out", type=Path, metavar="DIR", help="default: the folder figures of the results")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the plot; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.leaderboard import select

    written = write(select(args.results, args.suite), args.out or args.results / "figures")
    print("written: " + ", ".join(map(str, written)))
    return 0


def points(frame: pd.DataFrame) -> list[Point]:
    """One point a method of runs that may be compared; a seed counts where it has every task."""
    from scipy import stats

    whole = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test").dropna()
    if whole.shape[1] < frame["spec.task"].nunique():
        return []
    seeds = (100 * whole.mean(axis=1)).groupby(level="row").agg(["mean", "sem", "count"])
    errors = (stats.t.ppf(0.975, seeds["count"] - 1) * seeds["sem"]).fillna(0.0)  # a single seed has none
    params = frame.groupby("row")["params.method"].mean()
    return [Point(str(row), float(params[row]), float(seeds["mean"][row]), float(errors[row])) for row in seeds.index]


def frontier(made: Sequence[Point]) -> list[Point]:
    """The points that no other beats with at most as many parameters, from few to many."""
    best: list[Point] = []
    for point in sorted(made, key=lambda p: (p.params, -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def write(frame: pd.DataFrame, out: Path) -> list[Path]:
    """Write pareto.png, .svg and .pdf into ``out``, a panel for each set of comparable runs; returns their paths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from benchmarks.tables import comparable

    panels = [(group, made) for group in comparable(frame) if (made := points(group))]
    if not panels:
        return []
    names = sorted({row for panel, _ in panels for row in panel["row"].unique()})  # one color and marker in all panels
    with plt.rc_context(
        {"svg.hashsalt": "peft-vision-bench", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, axes = plt.subplots(
            len(panels), 1, figsize=(9.6, 5.4 * len(panels)), squeeze=False, layout="constrained"
        )
        for axis, (group, made) in zip(axes[:, 0], panels, strict=True):
            _panel(axis, group, sorted(made, key=lambda p: p.name), names)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # once laid out, or every format would be anew
        out.mkdir(parents=True, exist_ok=True)
        paths = [out / f"pareto.{ending}" for ending in FORMATS]
        undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
        for path in paths:
            figure.savefig(path, dpi=200, metadata=undated[path.suffix[1:]])
        plt.close(figure)
    return paths


def _panel(axis: Axes, frame: pd.DataFrame, made: Sequence[Point], names: Sequence[str]) -> None:
    trained = [p.params for p in made if p.params > 0] or [1.0]
    left = min(trained) / 6  # where methods stand that train the head alone: a logarithm has no zero
    places = {p.name: p.params or left for p in made}
    best = frontier(made)
    steps = [*[(places[p.name], p.accuracy) for p in best], (max(trained) * 2.5, best[-1].accuracy)]
    axis.step(*zip(*steps, strict=True), where="post", color="0.6", linewidth=1.2, linestyle="--", zorder=1)
    floor = _floor(made)
    crowded = len(made) > MOST_NAMED
    if crowded:
        _crowd(axis, [p for p in made if p not in best], places, floor)
        names = [p.name for p in best]
    for point in best if crowded else made:
        below, i = point.accuracy < floor, names.index(point.name)
        axis.errorbar(
            places[point.name],
            max(point.accuracy, floor),
            yerr=None if below else point.error or None,
            color=COLORS[i % len(COLORS)],
            marker="v" if below else MARKERS[(i + crowded * (i // len(COLORS))) % len(MARKERS)],
            label=point.name,
            markersize=6,
            capsize=2.5,
            linewidth=1,
            elinewidth=0.8,
            alpha=0.9,
            linestyle="",
        )
    axis.set_xscale("log")
    axis.set_xlim(left / 2, max(trained) * 2.5)
    if any(p.params == 0 for p in made):
        axis.axvline((left * min(trained)) ** 0.5, color="0.85", linewidth=6, zorder=0)
        axis.text(left, 0.01, "head only", transform=axis.get_xaxis_transform(), ha="center", va="bottom", color="0.4")
    height = max(best[-1].accuracy - floor, 1.0)
    axis.set_ylim(floor - 0.04 * height, best[-1].accuracy + 0.2 * height)
    if crowded:  # above the frontier there is nothing
        axis.legend(loc="upper left", fontsize=6, frameon=False, labelspacing=0.25, handletextpad=0.2)
    else:
        _label(axis, made, places, floor)
    first, seeds = frame.iloc[0], frame["spec.seed"].nunique()
    axis.set_title(
        f"{first['spec.suite']}, {first['spec.backbone.modality']}: {first['spec.backbone.name']}", loc="left"
    )
    axis.set_xlabel("trained parameters without the head")
    tasks = sorted(set(frame["spec.task"]))
    axis.set_ylabel(
        f"test accuracy, mean of {len(tasks)} tasks (%)" if len(tasks) > 1 else f"test accuracy, {tasks[0]} (%)"
    )
    note = (
        f"{seeds} seed{'s' * (seeds > 1)}, 95 % t-interval; rule {first['accuracy.checkpoint_rule']}; dashed: frontier"
    )
    axis.text(1, 1.0, note, transform=axis.transAxes, ha="right", va="bottom", fontsize=7, color="0.4")
    axis.grid(True, color="0.93", zorder=0)


def _crowd(axis: Axes, made: Sequence[Point], places: dict[str, float], floor: float) -> None:
    """Points without names or intervals, in grey and at once."""
    for below, marker in ((False, "o"), (True, "v")):
        chosen = [p for p in made if (p.accuracy < floor) == below]
        spots = [(places[p.name], max(p.accuracy, floor)) for p in chosen] or [(math.nan, math.nan)]
        axis.plot(*zip(*spots, strict=True), color="0.75", marker=marker, markersize=3, linestyle="", zorder=0.5)


def _label(axis: Axes, made: Sequence[Point], places: dict[str, float], floor: float) -> None:
    """Name every point, moved to where names cover neither points nor each other; a line leads to one that is far."""
    from adjustText import adjust_text

    x, y = [places[p.name] for p in made], [max(p.accuracy, floor) for p in made]
    names = [p.name if p.accuracy >= floor else f"{p.name} {p.accuracy:.1f}" for p in made]
    texts = [axis.text(across, up, name, fontsize=8.5) for across, up, name in zip(x, y, names, strict=True)]
    line = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4}
    adjust_text(texts, x=x, y=y, ax=axis, expand=(1.15, 1.4), max_move=None, arrowprops=line, iter_lim=600)


def _floor(made: Sequence[Point]) -> float:
    """Where the axis ends: what is far below most stands at this edge, with its value, or it would squeeze the rest."""
    from statistics import median

    middle, best = median(p.accuracy for p in made), max(p.accuracy for p in made)
    return max(min(p.accuracy for p in made), middle - FAR * (best - middle))


if __name__ == "__main__":
    sys.exit(main(None))
