"""The scatter of external validity: what papers print for each method, against what our runs give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from benchmarks.cli import HIGHLIGHT
from benchmarks.figures import drawing, names
from benchmarks.figures.names import Name
from benchmarks.tables.validity import Agreement

LOOK: dict[str, Any] = {"fmt": "o", "markersize": 5, "capsize": 2.5, "elinewidth": 0.8}
MARGIN = 0.12  # of the range of the points, on each side of an axis


def write(made: Sequence[Agreement], out: Path, highlight: str = HIGHLIGHT) -> list[Path]:
    """Write validity.png, .svg and .pdf into ``out``, with one panel per agreement.

    Both axes are accuracies in percent. The method ``highlight`` stands out. Returns the paths.
    """
    matplotlib.use("Agg")
    with plt.rc_context(drawing.STYLE):
        figure, axes = plt.subplots(1, len(made), figsize=(6.5 * len(made), 6), layout="constrained", squeeze=False)
        for axis, one in zip(axes[0], made, strict=True):
            _points(axis, one, highlight)
        figure.draw_without_rendering()  # computes the layout, which must be fixed before names are placed
        figure.set_layout_engine("none")
        for axis, one in zip(axes[0], made, strict=True):
            _names(axis, one, highlight)
        return drawing.write(figure, "validity", out)


def _points(axis: Axes, made: Agreement, highlight: str) -> None:
    rho, low, high = made.spearman
    for name, row in made.methods.iterrows():
        error = None if pd.isna(row["low"]) else (row["high"] - row["low"]) / 2
        axis.errorbar(row["theirs"], row["ours"], yerr=error, color=drawing.ink(name == highlight), **LOOK)
    axis.margins(MARGIN)
    axis.grid(True, color="0.93", zorder=0)
    axis.set_axisbelow(True)
    axis.set_title(drawing.plain(made.title), loc="left", pad=18)
    note = f"Spearman {rho:.2f} ({low:.2f} to {high:.2f}) over {len(made.methods)} methods; bars: 95 % over seeds"
    axis.text(0, 1.02, note, transform=axis.transAxes, va="bottom", fontsize=7.5, color="0.4")
    axis.set_xlabel(drawing.plain(f"published on {made.suite}, {made.backbone}: mean accuracy in percent"))
    axis.set_ylabel("here: mean accuracy in percent")


def _names(axis: Axes, made: Agreement, highlight: str) -> None:
    rows = made.methods
    spots = list(zip(rows["theirs"], rows["ours"], strict=True))
    lines = [((row["theirs"], row["low"]), (row["theirs"], row["high"])) for _, row in rows.dropna().iterrows()]
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    inks = [drawing.ink(name == highlight, text=True) for name in rows.index]
    names.write(axis, [Name(*each) for each in zip(rows.index, spots, inks, strict=True)], spots, lines)
