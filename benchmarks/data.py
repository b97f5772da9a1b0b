"""python -m benchmarks.data: list the tasks of suites, fetch, verify and convert their files, draw contact sheets."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import add_data_root, console, guarded
from benchmarks.files.root import Missing, data_root, use_data_root
from methods.errors import UserError, check, unknown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.suites import Suite

COLUMNS = 8  # samples of each class on a contact sheet
ROWS = 40  # the most classes on a contact sheet
SHOWN = 224  # pixels per side of images that are decoded from files


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.data", description="List, verify and look at the data of suites."
    )
    verbs = p.add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="every task: modality, classes, samples, source, licence, fingerprint")
    get = verbs.add_parser("fetch", help="download a suite's files, or say where a person gets them")
    get.add_argument("suite")
    verify = verbs.add_parser(
        "verify", help="check counts, classes, files and values of a suite; status 2 if anything is wrong"
    )
    verify.add_argument("suite")
    verify.add_argument("tasks", nargs="*", metavar="task", help="default: every task of the suite")
    conversion = verbs.add_parser("convert", help="make files that load fast out of a suite's published ones")
    conversion.add_argument("suite")
    show = verbs.add_parser("show", help="draw a contact sheet of a task's training samples")
    show.add_argument("task")
    show.add_argument("--suite", default="offline", metavar="NAME", help="default: offline")
    show.add_argument("-o", "--out", type=Path, required=True, metavar="FILE.png", help="a .png, .svg or .pdf file")
    for verb in (listing, get, verify, conversion, show):
        add_data_root(verb)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one verb. Returns 2 for a person's mistake or wrong data."""
    args = parser().parse_args(argv)
    from benchmarks import suites

    use_data_root(args.data_root)
    if args.verb == "list":
        return show_list()
    if args.verb == "fetch":
        return show_fetched(args.suite, args.data_root)
    if args.verb == "convert":
        return convert(args.suite)
    suite = suites.get(args.suite)
    if args.verb == "show":
        draw(suite, args.task, args.out)
        print(f"written: {args.out}")
        return 0
    return verify(suite, args.tasks or list(suite.tasks))


def show_list() -> int:
    """Print the tasks of every suite."""
    from rich.table import Table

    from benchmarks import suites

    known, none_of_own = suites.listed()
    for suite in known:
        headings = ("task", "modality", "group", "classes", "train", "val", "test", "source", "licence", "fingerprint")
        table = Table(*headings, title=f"suite {suite.name}")
        for name, task in suite.tasks.items():
            counts = [str(n) for n in (task.classes, task.train, task.val, task.test)]
            row = [name, task.modality, task.group, *counts, task.source, task.licence, _fingerprint(suite, name)]
            table.add_row(*row)
        console().print(table)
    if none_of_own:
        console().print(none_of_own, markup=False, soft_wrap=True)
    return 0


def show_fetched(name: str, root: Path | None) -> int:
    """Fetch a suite's files and print what is there.

    Raises:
        UserError: a command cannot fetch them (the message says where to get them), or the download failed.
    """
    from benchmarks import suites
    from benchmarks.files.fetch import fetch

    source = suites.obtain(name)
    if source is None:
        print(f"{name} needs no files: its tasks are drawn, or come with an installed package")
        return 0
    if isinstance(source, str):
        raise UserError(source.replace("{root}", str(data_root())))
    print(f"{name}: {fetch(source, data_root())}")
    where = "" if root is None else f" --data-root {shlex.quote(str(root))}"
    print(f"check it with: python -m benchmarks.data verify {name}{where}")
    return 0


def verify(suite: Suite, tasks: Sequence[str]) -> int:
    """Check the data of tasks and print their counts.

    Raises:
        UserError: a task is unknown, or its data are not as the suite's table says.
    """
    for name in tasks:
        check_task(suite, name)
    wrong = all_faults(suite, tasks)
    check(not wrong, f"suite {suite.name} is not as its table says: {'; '.join(wrong)}")
    for name in tasks:
        task = suite.tasks[name]
        print(f"{name}: {task.classes} classes, {task.train} + {task.val} + {task.test} samples")
    print(f"suite {suite.name}: {len(tasks)} tasks have the samples, classes and values that the table says")
    return 0


def _fingerprint(suite: Suite, task: str) -> str:
    try:
        return suite.fingerprint(task)[:12]
    except Missing:
        return f"not below {data_root()}"
    except UserError:
        return f"wrong: see verify {suite.name}"


def all_faults(suite: Suite, tasks: Sequence[str]) -> list[str]:
    """What is wrong with the data of tasks, one line per fault; all tasks without data share one line."""
    lines, absent = [], dict[str, str]()
    for task in tasks:
        try:
            lines += faults(suite, task)
        except Missing as error:
            absent[task] = str(error)
    if absent:
        lines.append(f"no data of {len(absent)} of {len(tasks)} tasks: {', '.join(absent)}")
        lines.append(next(iter(absent.values())))
    return lines


def convert(name: str) -> int:
    """Convert a suite's files and print the paths that were written.

    Raises:
        UserError: the suite has nothing to convert, or its files are missing or wrong.
    """
    from benchmarks import suites

    able = [known for known in suites.table() if suites.get(known).convert]
    run = suites.get(name).convert if name in suites.table() else None
    if run is None:
        raise UserError(unknown("suite with files to convert", name, able))
    print("written: " + ", ".join(str(path) for path in run()))
    return 0


def check_task(suite: Suite, name: str) -> None:
    """Refuse a task that the suite does not have."""
    check(name in suite.tasks, f"suite {suite.name}: {unknown('task', name, suite.tasks)}")


def faults(suite: Suite, name: str) -> list[str]:
    """What is wrong with a task's data, one line per fault."""
    if suite.faults is not None:
        return suite.faults(name)
    import torch

    task, lines = suite.tasks[name], []
    for split, expected in (("train", task.train), ("val", task.val), ("test", task.test)):
        x, y = suite.load(name, split, size=SHOWN)
        fine = {expected, expected - task.lacking} if split == "train" else {expected}
        if len(x) not in fine or len(x) != len(y):
            lines.append(f"{name}/{split}: {len(x)} inputs and {len(y)} labels, not {expected}")
        if y.min() < 0 or y.max() >= task.classes:
            lines.append(f"{name}/{split}: labels from {int(y.min())} to {int(y.max())}, not 0 to {task.classes - 1}")
        missing = set(range(task.classes)) - set(y.tolist())
        if missing:
            lines.append(f"{name}/{split}: no sample of {[task.labels[i] for i in sorted(missing)]}")
        if x.is_floating_point() and not torch.isfinite(x).all():
            lines.append(f"{name}/{split}: values that are not finite")
    return lines


def draw(suite: Suite, name: str, path: Path) -> None:
    """Draw some training samples of every class, one row per class.

    Raises:
        UserError: the task is unknown, or the path does not end like that of a picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from benchmarks.figures import drawing

    check_task(suite, name)
    drawing.check_ending(path)
    task, shown = suite.tasks[name], suite.tasks[name].labels[:ROWS]
    x, y = suite.load(name, "train", size=SHOWN)
    space = {"projection": "3d"} if task.modality == "points" else {}
    figure = plt.figure(figsize=(1.1 * COLUMNS + 1.6, 1.1 * len(shown) + 0.6))
    more = f", {ROWS} here" if task.classes > ROWS else ""
    counts = f"{task.classes} classes{more}, {task.train} + {task.val} + {task.test} samples"
    figure.suptitle(f"{suite.name} / {name}: {counts}", y=0.995)
    grid = figure.add_gridspec(
        len(shown), COLUMNS, left=0.16, right=0.99, bottom=0.01, top=1 - 0.5 / (1.1 * len(shown) + 0.6)
    )
    for row, label in enumerate(shown):
        for column, index in enumerate((y == row).nonzero().flatten()[:COLUMNS].tolist()):
            axis = figure.add_subplot(grid[row, column], **space)
            (_draw_points if space else _draw_image)(axis, x[index].numpy())
        middle = grid[row, 0].get_position(figure)
        figure.text(0.15, (middle.y0 + middle.y1) / 2, label.replace("_", " "), ha="right", va="center", fontsize=9)
    drawing.save(figure, path)
    plt.close(figure)


def _draw_image(axis: Axes, image: Any) -> None:
    axis.imshow(image.transpose(1, 2, 0), interpolation="nearest")
    axis.set_axis_off()


def _draw_points(axis: Any, points: Any) -> None:
    """Draw points with y up, seen from the front right and above; farther points are darker."""
    depth = points[:, 0] - points[:, 2]
    axis.scatter(points[:, 0], points[:, 2], points[:, 1], s=3, c=depth, cmap="viridis", linewidths=0, depthshade=False)
    axis.set_box_aspect((1, 1, 1), zoom=1.9)
    axis.set(xlim=(-1, 1), ylim=(-1, 1), zlim=(-1, 1))
    axis.view_init(elev=18, azim=-60)
    axis.set_axis_off()


if __name__ == "__main__":
    sys.exit(main())
