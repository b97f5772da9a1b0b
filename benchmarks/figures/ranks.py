"""The critical-difference diagram: mean ranks of methods, and which of them differ significantly.

The diagram is that of Demsar 2006 ("Statistical comparisons of classifiers over multiple data sets", JMLR 7). It has
one panel per group of comparable runs with at least two tasks and at least three methods that have every task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing
from benchmarks.tables import statistics
from benchmarks.tables.headings import heading
from benchmarks.tables.rows import in_figures, scores, tasks_and_groups

FEWEST_METHODS, FEWEST_TASKS = 3, 2
MOST_NAMED, BEST = 30, 20  # of more than 30 methods the best 20 are drawn, with their ranks among all methods
# inches: length of the axis, its distance from the top, margin, width of a letter, height of a name, height of a bar
SCALE, TOP, EDGE, LETTER, NAME, BAR = 5.0, 1.25, 0.6, 0.075, 0.24, 0.12


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The content of one diagram.

    Attributes:
        ranks: mean ranks over (task, seed), ascending.
        drawn: the ranks of the methods in the diagram.
        critical: Nemenyi's critical difference over tasks; seeds are repeats of a task.
        critical_blocks: the critical difference if every (task, seed) counted as a task.
        bars: the first and last place in ``drawn`` of each set of methods without a significant difference.
    """

    title: str
    about: str
    highlighted: frozenset[str]  # rows that stand out
    blocks: pd.DataFrame  # accuracies, (seed and task, row)
    tasks: int

    @property
    def seeds(self) -> int:
        return len(self.blocks) // self.tasks

    @cached_property
    def ranks(self) -> pd.Series[float]:
        return statistics.mean_ranks(self.blocks).sort_values(kind="stable")

    @property
    def drawn(self) -> pd.Series[float]:
        return self.ranks if len(self.ranks) <= MOST_NAMED else self.ranks.iloc[:BEST]

    @property
    def critical(self) -> float:
        return statistics.critical_difference(self.blocks.shape[1], self.tasks)

    @property
    def critical_blocks(self) -> float:
        return statistics.critical_difference(self.blocks.shape[1], len(self.blocks))

    @property
    def bars(self) -> list[tuple[int, int]]:
        return statistics.cliques(self.drawn, self.critical)


def panels(groups: Sequence[pd.DataFrame], highlight: str = HIGHLIGHT) -> list[Panel]:
    """Make one panel per group of comparable runs that has enough methods and tasks."""
    return [panel for group in groups if (panel := _panel(group, highlight))]


def _panel(frame: pd.DataFrame, highlight: str) -> Panel | None:
    """Make a panel; None if methods or tasks are too few, or if no (task, seed) is common to all methods."""
    tasks, _ = tasks_and_groups(frame)
    blocks = pd.DataFrame(scores(frame, tasks).dropna().stack().unstack("row")).dropna()  # (seed and task, row)
    if len(tasks) < FEWEST_TASKS or blocks.shape[1] < FEWEST_METHODS or blocks.empty:
        return None
    first, (names, ending) = frame.iloc[0], in_figures(map(str, blocks))
    return Panel(
        title=heading(frame),
        about=f"{first['suite']} on {first['spec.backbone.name']}{ending}",
        highlighted=frozenset(
            names[row] for row in frame.loc[frame["spec.method"] == highlight, "row"] if row in names
        ),
        blocks=blocks.rename(columns=names),
        tasks=len(tasks),
    )


def write(groups: Sequence[pd.DataFrame], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write ranks.png, .svg and .pdf into ``out``, where the method ``highlight`` stands out.

    Returns the paths; without a panel nothing is written.
    """
    matplotlib.use("Agg")
    made = panels(groups, highlight)
    if not made:
        return []
    heights = [TOP + BAR * (len(p.bars) + 1) + NAME * ((len(p.drawn) + 1) // 2) + 0.25 for p in made]
    margin = EDGE + LETTER * max(len(str(name)) + 6 for each in made for name in each.drawn.index)
    with plt.rc_context(drawing.STYLE):
        figure = plt.figure(figsize=(SCALE + 2 * margin, sum(heights)))
        top = 1.0
        for each, height in zip(made, heights, strict=True):
            share = height / sum(heights)
            top -= share
            axis = figure.add_axes((0.0, top, 1.0, share))
            axis.set(xlim=(-margin, SCALE + margin), ylim=(height, 0))
            axis.axis("off")
            _draw(axis, each)
        return drawing.write(figure, "ranks", out)


def _ends(each: Panel) -> tuple[int, int]:
    """Return the ranks at the ends of the axis: all possible ranks, or the range of the methods drawn."""
    drawn = each.drawn
    if len(drawn) == len(each.ranks):
        return 1, len(drawn)
    low = math.floor(drawn.iloc[0])
    return low, max(math.ceil(drawn.iloc[-1]), low + 1)  # equal methods may all have the same rank


def _draw(axis: Axes, each: Panel) -> None:
    """Draw one diagram, with the best rank at the left.

    Coordinates are inches from the left end of the axis and from the top of the panel.
    """
    margin, (low, high) = axis.get_xlim()[0], _ends(each)
    drawn = each.drawn

    def across(rank: float) -> float:
        return (rank - low) / (high - low) * SCALE

    axis.text(margin + EDGE / 2, 0.25, drawing.plain(each.title), fontsize=10, va="center")
    axis.text(margin + EDGE / 2, 0.38, _note(each), fontsize=7, color="0.4", va="top")
    axis.plot([0, SCALE], [TOP, TOP], color="black", linewidth=1)
    step = max(1, round((high - low + 1) / 10))
    start = math.ceil((low + step // 2) / step) * step
    for rank in sorted({low, high, *range(start, high - step // 2, step)}):
        axis.plot([across(rank)] * 2, [TOP, TOP - 0.06], color="black", linewidth=1)
        axis.text(across(rank), TOP - 0.1, str(rank), ha="center", va="bottom", fontsize=7.5)
    shown = min(each.critical, high - low)
    axis.plot([0, across(low + shown)], [TOP - 0.37] * 2, color="black", linewidth=1, marker="|", markersize=6)
    some = "methods" if len(drawn) == len(each.ranks) else f"of these {len(drawn)} methods"
    more = "" if shown == each.critical else f", longer than the axis: no two {some} differ significantly"
    axis.text(0, TOP - 0.43, f"critical difference {each.critical:.1f}{more}", fontsize=7.5, va="bottom")
    for number, (first, last) in enumerate(each.bars):
        ends = [across(drawn.iloc[first]) - 0.05, across(drawn.iloc[last]) + 0.05]
        axis.plot(ends, [TOP + BAR * (number + 1)] * 2, color="black", linewidth=2.6, solid_capstyle="butt")
    _names(axis, each, TOP + BAR * (len(each.bars) + 1) + 0.1, across)


def _names(axis: Axes, each: Panel, top: float, place_of: Callable[[float], float]) -> None:
    """Write the better half of the names at the left and the others at the right, each with a line to its rank."""
    rows = len(each.drawn)
    for place, (name, rank) in enumerate(each.drawn.items()):
        chosen = name in each.highlighted
        better = place < (rows + 1) // 2
        line = top + NAME * (place if better else rows - 1 - place)
        across, end = place_of(rank), -0.2 if better else SCALE + 0.2
        axis.plot([across, across, end], [TOP, line, line], color=drawing.ink(chosen), linewidth=0.8, zorder=chosen)
        text = drawing.plain(f"{name}  {rank:.1f} " if better else f" {rank:.1f}  {name}")
        axis.text(end, line, text, ha="right" if better else "left", va="center", color=drawing.ink(chosen, text=True))


def _note(each: Panel) -> str:
    seeds = f"{each.seeds} seed{'s' * (each.seeds > 1)}"
    some = "" if len(each.drawn) == len(each.ranks) else f"the best {BEST} of {len(each.ranks)}; "
    p = statistics.friedman(each.blocks.groupby(level=1).mean())
    return (
        f"{drawing.plain(each.about)}; {some}mean rank over {each.tasks} tasks x {seeds}, 1 is best; "
        f"Friedman p = {p:.1g}\n"
        f"a bar joins methods without a significant difference over {each.tasks} tasks (Nemenyi, 5 %; critical "
        f"difference {each.critical_blocks:.1f} if seeds counted as tasks)"
    )
