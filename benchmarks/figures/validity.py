"""The scatter of external validity: the place of each method by published numbers, against its place here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing, names
from benchmarks.figures.names import Name
from benchmarks.tables.validity import Agreement

MARGIN = 1.5  # places beyond the first and the last


def write(made: Sequence[Agreement], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write validity.png, .svg and .pdf into ``out``, with one panel per agreement.

    Both axes are places; the best are at the top right. The method ``highlight`` stands out. Returns the paths.
    """
    matplotlib.use("Agg")
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(1, len(made), figsize=(6.5 * len(made), 6.4), layout="constrained", squeeze=False)
        for axis, one in zip(axes[0], made, strict=True):
            _points(axis, one, highlight)
        figure.draw_without_rendering()  # computes the layout, which must be fixed before names are placed
        figure.set_layout_engine("none")
        for axis, one in zip(axes[0], made, strict=True):
            _names(axis, one, highlight)
        return drawing.write(figure, "validity", out)


def _points(axis: Axes, made: Agreement, highlight: str) -> None:
    (rho, low, high), last = made.spearman, len(made.methods)
    inks = [drawing.ink(name == highlight) for name in made.methods.index]
    axis.plot([1, last], [1, last], color="0.85", linewidth=1, zorder=0)  # here the places are equal
    axis.scatter(made.places["theirs"], made.places["ours"], s=26, color=inks)
    axis.set(xlim=(last + MARGIN, 1 - MARGIN), ylim=(last + MARGIN, 1 - MARGIN))
    axis.set_title(drawing.plain(made.title), loc="left", pad=18)
    note = f"Spearman {rho:.2f} ({low:.2f} to {high:.2f}) over {last} methods; on the line, the places are equal"
    axis.text(0, 1.02, note, transform=axis.transAxes, va="bottom", fontsize=7.5, color="0.4")
    axis.set_xlabel(drawing.plain(f"place on {made.suite}, published for {made.backbone} (1: best)"))
    axis.set_ylabel("place here (1: best)")
    for one in (axis.xaxis, axis.yaxis):
        one.set_ticks(range(1, last + 1) if last < 10 else [1, *range(5, last + 1, 5)])


def _names(axis: Axes, made: Agreement, highlight: str) -> None:
    places = made.places
    spots = list(zip(places["theirs"], places["ours"], strict=True))
    inks = [drawing.ink(name == highlight, text=True) for name in places.index]
    names.write(axis, [Name(*each) for each in zip(places.index, spots, inks, strict=True)], spots, [])
