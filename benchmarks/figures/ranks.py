"""Mean ranks of methods, and the critical difference that tells two of them apart.

The diagram of Demsar 2006 ("Statistical comparisons of classifiers over multiple data sets", JMLR 7), one panel per set
of comparable runs with at least three methods that have every task, and at least two tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import drawing
from benchmarks.tables import statistics

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

FEWEST_METHODS, FEWEST_TASKS = 3, 2
MOST_NAMED, BEST = 30, 20  # of more methods the best are drawn; ranks and critical difference are of all
# in inches: the axis, where it lies, the space left of names, a letter, and from one name or bar to the next
SCALE, TOP, EDGE, LETTER, NAME, BAR = 5.0, 1.15, 0.6, 0.075, 0.24, 0.12


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What one diagram shows: mean ranks over (task, seed), ascending, and what the tasks can tell apart.

    ``p`` is Friedman's; it and ``critical`` count tasks, of which seeds are repeats. ``critical_blocks`` is what the
    critical difference would be if every (task, seed) were a task.
    """

    title: str
    blocks: pd.DataFrame  # accuracies, (seed and task, row)
    tasks: int

    @property
    def seeds(self) -> int:
        return len(self.blocks) // self.tasks

    @cached_property
    def ranks(self) -> pd.Series[float]:
        return statistics.mean_ranks(self.blocks).sort_values(kind="stable")

    @cached_property
    def p(self) -> float:
        return statistics.friedman(self.blocks.groupby(level=1).mean())

    @cached_property
    def critical(self) -> float:
        return statistics.critical_difference(self.blocks.shape[1], self.tasks)

    @cached_property
    def critical_blocks(self) -> float:
        return statistics.critical_difference(self.blocks.shape[1], len(self.blocks))


def panels(groups: Sequence[pd.DataFrame]) -> list[Panel]:
    """A panel for every set of comparable runs that has enough methods and tasks."""
    found = map(panel, groups)
    return [each for each in found if each is not None]


def panel(frame: pd.DataFrame) -> Panel | None:
    """The ranks of runs that may be compared; None of too few methods or tasks, or without a seed that all have."""
    import pandas as pd

    from benchmarks.tables.rows import in_figures
    from benchmarks.tables.scores import scores, tasks_and_groups, whole_seeds

    tasks, _ = tasks_and_groups(frame)
    whole = whole_seeds(scores(frame, tasks))
    blocks = pd.DataFrame(whole.stack().unstack("row")).dropna()  # (seed and task, row)
    if len(tasks) < FEWEST_TASKS or blocks.shape[1] < FEWEST_METHODS or blocks.empty:
        return None
    first, (names, ending) = frame.iloc[0], in_figures(map(str, blocks))
    return Panel(
        title=f"{first['spec.suite']}, {first['spec.backbone.modality']}: {first['spec.backbone.name']}{ending}",
        blocks=blocks.rename(columns=names),
        tasks=len(tasks),
    )


def write(groups: Sequence[pd.DataFrame], out: Path) -> list[Path]:
    """Write ranks.png, .svg and .pdf into ``out``; returns their paths, none where no runs make a diagram."""
    return draw(panels(groups), out)


def draw(made: Sequence[Panel], out: Path) -> list[Path]:
    """Write the figure of these panels; returns the paths, none of none."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    if not made:
        return []
    heights = [_height(each) for each in made]
    margin = EDGE + LETTER * max(len(str(name)) + 6 for each in made for name in _drawn(each).index)
    with plt.rc_context({"svg.hashsalt": "peft-vision-bench", "font.size": 9}):
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


def _drawn(each: Panel) -> pd.Series[float]:
    return each.ranks if len(each.ranks) <= MOST_NAMED else each.ranks.iloc[:BEST]


def _ends(each: Panel) -> tuple[int, int]:
    """The ranks at the ends of the axis: all that there can be, or those of the methods drawn."""
    drawn = _drawn(each)
    whole = len(drawn) == len(each.ranks)
    low, high = math.floor(drawn.iloc[0]), math.ceil(drawn.iloc[-1])
    return (1, len(drawn)) if whole else (low, max(high, low + 1))  # equals may all have one rank


def _bars(each: Panel) -> list[tuple[int, int]]:
    return statistics.cliques(_drawn(each), each.critical)


def _height(each: Panel) -> float:
    return TOP + BAR * (len(_bars(each)) + 1) + NAME * ((len(_drawn(each)) + 1) // 2) + 0.25


def _draw(axis: Axes, each: Panel) -> None:
    """One diagram, in inches from the left end of its scale and from its top; the best ranks are at the left."""
    margin, (low, high) = axis.get_xlim()[0], _ends(each)
    drawn, across = _drawn(each), partial(_across, ends=(low, high))
    axis.text(margin + EDGE / 2, 0.25, each.title, fontsize=10, va="center")
    axis.text(margin + EDGE / 2, 0.47, _note(each), fontsize=7, color="0.4", va="center")
    axis.plot([0, SCALE], [TOP, TOP], color="black", linewidth=1)
    step = max(1, round((high - low + 1) / 10))
    start = math.ceil((low + step // 2) / step) * step
    for rank in sorted({low, high, *range(start, high - step // 2, step)}):
        axis.plot([across(rank)] * 2, [TOP, TOP - 0.06], color="black", linewidth=1)
        axis.text(across(rank), TOP - 0.1, str(rank), ha="center", va="bottom", fontsize=7.5)
    shown = min(each.critical, high - low)
    axis.plot([0, across(low + shown)], [TOP - 0.37] * 2, color="black", linewidth=1, marker="|", markersize=6)
    more = "" if shown == each.critical else ", longer than the axis: no two methods can be told apart"
    axis.text(0, TOP - 0.43, f"critical difference {each.critical:.1f}{more}", fontsize=7.5, va="bottom")
    for number, (first, last) in enumerate(_bars(each)):
        ends = [across(drawn.iloc[first]) - 0.05, across(drawn.iloc[last]) + 0.05]
        axis.plot(ends, [TOP + BAR * (number + 1)] * 2, color="black", linewidth=2.6, solid_capstyle="butt")
    _names(axis, drawn, TOP + BAR * (len(_bars(each)) + 1) + 0.1, across)


def _names(axis: Axes, ranks: pd.Series[float], top: float, place_of: Callable[[float], float]) -> None:
    """The better half below each other at the left, the others at the right, each with a line to its rank."""
    rows = len(ranks)
    for place, (name, rank) in enumerate(ranks.items()):
        better = place < (rows + 1) // 2
        line = top + NAME * (place if better else rows - 1 - place)
        across, end = place_of(rank), -0.2 if better else SCALE + 0.2
        axis.plot([across, across, end], [TOP, line, line], color="0.45", linewidth=0.7, zorder=0)
        text = f"{name}  {rank:.1f} " if better else f" {rank:.1f}  {name}"
        axis.text(end, line, text, ha="right" if better else "left", va="center")


def _across(rank: float, ends: tuple[int, int]) -> float:
    low, high = ends
    return (rank - low) / (high - low) * SCALE


def _note(each: Panel) -> str:
    seeds = f"{each.seeds} seed{'s' * (each.seeds > 1)}"
    some = "" if len(_drawn(each)) == len(each.ranks) else f"the best {BEST} of {len(each.ranks)}; "
    return (
        f"{some}mean rank over {each.tasks} tasks x {seeds}, 1 the best; a bar joins methods that {each.tasks} tasks "
        f"cannot tell apart (Nemenyi, 5 %; {each.critical_blocks:.1f} if seeds counted as tasks); "
        f"Friedman p = {each.p:.1g}"
    )
