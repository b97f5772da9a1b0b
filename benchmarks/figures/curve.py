"""The training curves of a run: loss, measured accuracies and learning rate by epoch."""

from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.figures import drawing

METRIC = "test and validation (%)"  # by the task's metric
PANELS = {
    "training loss": {"train_loss": ""},
    METRIC: {"val_accuracy": "validation", "test_accuracy": "test"},
    "learning rate": {"lr": ""},
}
SECOND = "val_accuracy"  # gray, where a panel has two lines


def draw(record: Mapping[str, Any]) -> Figure:
    """Draw one panel per quantity in the history of the record."""
    matplotlib.use("Agg")
    history = record["history"]
    known = {name for row in history for name, value in row.items() if value is not None}
    shown = {title: measured for title, names in PANELS.items() if (measured := [n for n in names if n in known])}
    height = 1.0 + 1.9 * len(shown)
    figure = Figure(figsize=(6.4, height), dpi=100)
    # fixed margins: matplotlib would take twice as long to compute them, and every run has a picture
    figure.subplots_adjust(left=0.13, right=0.97, top=1 - 0.45 / height, bottom=0.5 / height, hspace=0.15)
    figure.suptitle(drawing.plain(f"Training: {drawing.title(record)}"), fontsize=9, y=1 - 0.12 / height, va="top")
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, names) in zip(axes, shown.items(), strict=True):
        scale = 100 if title == METRIC else 1
        for name in names:
            points = [(row["epoch"], row[name] * scale) for row in history if row[name] is not None]
            axis.plot(
                *zip(*points, strict=True),
                marker=".",
                color=drawing.ink(False, name != SECOND or len(names) == 1),
                label=PANELS[title][name],
            )
        axis.set_ylabel(f"{record['accuracy'].get('metric', 'accuracy')} (%)" if title == METRIC else title)
        axis.grid(True, color="0.93")
        if len(names) > 1 or PANELS[title][names[0]]:
            axis.legend(frameon=False, fontsize=8)
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure
