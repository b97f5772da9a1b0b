"""The picture of a run's findings: accuracy by class, what is taken for what, and calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import drawing
from benchmarks.tables.findings import Findings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUMBERED = 15  # with more classes, cells have no numbers
NAMED = 40  # with more classes, only some are named
LONGEST = 18  # characters of a name


def draw(found: Findings, heading: str) -> Figure:
    """Draw three panels below ``heading``."""
    from matplotlib.figure import Figure

    names = [drawing.plain(name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}...") for name in found.labels]
    side = min(3.2 + 0.28 * len(names), 9.0)
    figure = Figure(figsize=(side + 6.5, max(side, 3.6)), layout="constrained")
    figure.suptitle(drawing.plain(heading), fontsize=10)
    confusion, classes, reliability = figure.subplots(1, 3, width_ratios=[side, 3.0, 3.4])
    _confusion(confusion, found, names)
    _classes(classes, found, confusion)
    _reliability(reliability, found)
    return figure


def _confusion(axis: Any, found: Findings, names: list[str]) -> None:
    shares = found.confusion / np.maximum(found.confusion.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap=drawing.shades(), vmin=0, vmax=1, aspect="auto")
    if len(names) <= NUMBERED:
        for (y, x), count in np.ndenumerate(found.confusion):
            color = "white" if shares[y, x] > drawing.LIGHT else "black"
            axis.text(x, y, str(count) if count else "", ha="center", va="center", fontsize=8, color=color)
    shown = range(0, len(names), -(-len(names) // NAMED))
    axis.set_xticks(shown, [names[i] for i in shown], rotation=90, fontsize=7)
    axis.set_yticks(shown, [names[i] for i in shown], fontsize=7)
    axis.tick_params(length=0)
    axis.set(xlabel="predicted class", ylabel="true class")
    axis.set_title("samples (darker: a larger share of the true class)", loc="left", fontsize=9)
    axis.spines[:].set_visible(False)


def _classes(axis: Any, found: Findings, beside: Any) -> None:
    accuracies = [100 * value if value is not None else 0 for value in found.accuracies]
    axis.barh(range(len(accuracies)), accuracies, color=drawing.FRONTIER, height=0.7)
    if len(accuracies) <= NAMED:
        for place, value in enumerate(found.accuracies):
            text = "no sample" if value is None else f"{100 * value:.0f}"
            axis.text(accuracies[place] + 1.5, place, text, va="center", fontsize=7, color=drawing.WORDS)
    axis.set_yticks([])
    axis.set(xlim=(0, 112), ylim=beside.get_ylim(), xlabel="accuracy (%)")
    axis.set_title("by true class", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def _reliability(axis: Any, found: Findings) -> None:
    most = max(one.samples for one in found.bins)
    for one in found.bins:
        axis.bar(
            *(100 * (one.low + one.high) / 2, 100 * one.accuracy),
            width=100 * (one.high - one.low) * 0.9,
            color=drawing.FRONTIER,
            alpha=0.25 + 0.75 * one.samples / most,
        )
    axis.plot([0, 100], [0, 100], color=drawing.WORDS, linestyle="--", linewidth=1)
    axis.set_box_aspect(1)
    axis.set(xlim=(0, 100), ylim=(0, 100), xlabel="confidence (%)", ylabel="accuracy (%)")
    axis.set_title(f"calibration, ECE {100 * found.ece:.1f} % (darker: more samples)", loc="left", fontsize=9)
    axis.spines[["top", "right"]].set_visible(False)
