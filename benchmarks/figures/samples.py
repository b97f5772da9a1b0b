"""A contact sheet of a task: some training samples of every class."""

from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.figures import drawing
from benchmarks.files.frames import Frame
from benchmarks.suites import Suite

COLUMNS = 8  # samples per class
ROWS = 40  # the largest number of classes shown
FRAME = Frame(224)  # of images that are decoded from files


def draw(suite: Suite, name: str, path: Path) -> None:
    """Draw some training samples of every class, one row per class. ``path`` must end in .png, .svg or .pdf.

    Of a task with a label for every point, each row has shapes with one part, whose points stand out.
    """
    matplotlib.use("Agg")
    drawing.check_ending(path)
    task, shown = suite.tasks[name], suite.tasks[name].labels[:ROWS]
    x, y = suite.load(name, "train", frame=FRAME)
    space = {"projection": "3d"} if task.modality == "points" else {}
    height = 1.1 * len(shown) + 0.6
    figure = plt.figure(figsize=(1.1 * COLUMNS + 1.6, height))
    more = f", {ROWS} here" if task.classes > ROWS else ""
    counts = f"{task.classes} classes{more}, {task.train} + {task.val} + {task.test} samples"
    figure.suptitle(drawing.plain(f"{suite.name} / {name}: {counts}"), y=0.995)
    grid = figure.add_gridspec(len(shown), COLUMNS, left=0.16, right=0.99, bottom=0.01, top=1 - 0.5 / height)
    for row, label in enumerate(shown):
        of_class = y == row
        for column, index in enumerate(of_class.view(len(y), -1).any(1).nonzero().flatten()[:COLUMNS].tolist()):
            axis = figure.add_subplot(grid[row, column], **space)
            if space:
                _draw_points(axis, x[index].numpy(), of_class[index].numpy() if task.kind.per_point else None)
            else:
                _draw_image(axis, x[index].numpy())
        middle = grid[row, 0].get_position(figure)
        shown_label = drawing.plain(label.replace("_", " "))
        figure.text(0.15, (middle.y0 + middle.y1) / 2, shown_label, ha="right", va="center", fontsize=9)
    drawing.save(figure, path)
    plt.close(figure)


def _draw_image(axis: Axes, image: Any) -> None:
    axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    axis.set_axis_off()


def _draw_points(axis: Any, points: Any, shade: Any = None) -> None:
    """Draw points with y up, seen from the front right and above; farther points are darker, or those without shade."""
    shade = points[:, 0] - points[:, 2] if shade is None else shade
    axis.scatter(points[:, 0], points[:, 2], points[:, 1], s=3, c=shade, cmap="viridis", linewidths=0, depthshade=False)
    axis.set_box_aspect((1, 1, 1), zoom=1.9)
    axis.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axis.view_init(elev=18, azim=-60)
    axis.set_axis_off()
