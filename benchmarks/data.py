"""python -m benchmarks.data: list the tasks of suites; fetch, verify, convert, show, write and split their data."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import add_data_root, command_parser, console, guarded, next_step, say
from benchmarks.files.root import Missing, data_root, use_data_root
from methods.errors import UserError, check, check_known

if TYPE_CHECKING:
    from benchmarks.suites import Suite

EXAMPLES = {
    "download the files of a suite": "fetch vtab1k",
    "split a folder of classes, DIR/CLASS/*.jpg, into training and test images": "split photos --test 0.2 --seed 0",
    "look at the training samples of a task": "show digits -o digits.png",
    "write drawn images as files, for other programs and other sizes": "write count location -o data/drawn",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser("data", "List, fetch, verify, convert and show data sets, and split your own.", EXAMPLES)
    actions = p.add_subparsers(title="actions", dest="action", required=True, metavar="ACTION")
    lines = {
        "list": "show every task: modality, classes, samples, source, licence, fingerprint",
        "fetch": "download a suite's files, or say where to get them",
        "verify": "check the files, counts, classes and values of a suite; status 2 if anything is wrong",
        "convert": "convert a suite's published files to files that load fast",
        "show": "draw a contact sheet of a task's training samples",
        "write": "write the images of a suite that needs no files as OUT/TASK, in VTAB-1K's layout",
        "split": "copy DIR/CLASS/*.jpg to OUT/train/CLASS and OUT/test/CLASS, each class by its share",
    }
    made = {name: actions.add_parser(name, help=line, description=line) for name, line in lines.items()}
    for name in ("fetch", "verify", "convert"):
        made[name].add_argument("suite", help="name of the suite")
    made["verify"].add_argument("tasks", nargs="*", metavar="task", help="tasks to check (default: all of the suite)")
    show = made["show"]
    show.add_argument("task", help="name of the task")
    show.add_argument("--suite", default="offline", metavar="NAME", help="suite that has the task (default: offline)")
    show.add_argument("-o", "--out", type=Path, required=True, metavar="FILE", help="a .png, .svg or .pdf file")
    write = made["write"]
    write.add_argument("tasks", nargs="+", metavar="task", help="names of tasks")
    write.add_argument("--suite", default="offline", metavar="NAME", help="suite that has them (default: offline)")
    write.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="folder for the tasks")
    split = made["split"]
    split.add_argument("folder", metavar="DIR", type=Path, help="folder with one folder of images per class")
    split.add_argument(
        "--test", type=float, default=0.2, metavar="SHARE", help="share that is for testing (default: 0.2)"
    )
    split.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the draw (default: 0)")
    split.add_argument("-o", "--out", type=Path, metavar="OUT", help="new folder for the copies (default: DIR-split)")
    for action in made.values():
        add_data_root(action)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one action. Returns 2 for a person's mistake or for wrong data."""
    args = parser().parse_args(argv)
    from benchmarks import suites
    from benchmarks.suites.checking import check_task

    use_data_root(args.data_root)
    if args.action == "split":
        return _split(args.folder, args.out, args.test, args.seed)
    if args.action == "list":
        return show_list()
    if args.action == "fetch":
        return _fetch(args.suite, args.data_root)
    if args.action == "convert":
        return _convert(args.suite)
    suite = suites.get(args.suite)
    if args.action == "show":
        from benchmarks.figures import samples

        check_task(suite, args.task)
        samples.draw(suite, args.task, args.out)
        say(f"written: {args.out}")
        next_step("open", args.out)
        return 0
    if args.action == "write":
        return _write(suite, args.tasks, args.out)
    status = _verify(suite, args.tasks or list(suite.tasks))
    root = ["--data-root", args.data_root] if args.data_root else []
    next_step("python -m benchmarks.run --methods linear lora --suite", suite.name, *root)
    return status


def show_list() -> int:
    """Print the tasks of every suite."""
    from rich.table import Table

    from benchmarks import suites

    known, none_of_own = suites.listed()
    for suite in known:
        headings = ("task", "modality", "group", "classes", "train", "val", "test", "source", "licence", "fingerprint")
        table = Table(*headings, title=f"suite {suite.name}")
        for name, task in suite.tasks.items():
            counts = map(str, (task.classes, task.train, task.val, task.test))
            own = (task.source, task.licence, _fingerprint(suite, name))
            table.add_row(name, task.modality, task.group, *counts, *own)
        console().print(table)
    if none_of_own:
        console().print(none_of_own, soft_wrap=True)
    return 0


def _write(suite: Suite, tasks: Sequence[str], out: Path) -> int:
    """Write tasks of images as files, and say what to do with them."""
    from benchmarks.files import lists
    from benchmarks.suites.checking import check_task

    for name in tasks:
        check_task(suite, name)
        modality = suite.tasks[name].modality
        check(modality == "image", f"{name} has point clouds; only images are written")
    check(suite.obtain is None, f"the images of suite {suite.name} are files already")
    lists.check_new([out / name for name in tasks])
    for name in tasks:
        splits = {split: suite.load(name, split, frame=None) for split in ("train", "val", "test")}
        lists.write(out / name, suite.tasks[name].labels, splits)
    say(f"written to {out}: {', '.join(tasks)}")
    next_step("train on them: python -m benchmarks.run --suite folder --methods linear lora --data-root", out)
    return 0


def _split(folder: Path, out: Path | None, test: float, seed: int) -> int:
    """Copy a folder of classes into training and test images, and say what to do with them."""
    from benchmarks.files.split import split

    folder = Path(os.path.abspath(folder))
    out = Path(os.path.abspath(out or folder.with_name(f"{folder.name}-split")))
    counts = split(folder, out, test=test, seed=seed)
    say(f"copied to {out}: " + ", ".join(f"{count} images to {name}" for name, count in counts.items()))
    next_step("check them: python -m benchmarks.data verify folder --data-root", out)
    next_step("then train: python -m benchmarks.run --suite folder --methods linear lora --data-root", out)
    return 0


def _fetch(name: str, root: Path | None) -> int:
    """Fetch a suite's files and print what was fetched, or raise a UserError that says where to get them."""
    from benchmarks import suites
    from benchmarks.files.fetch import fetch

    source = suites.obtain(name)
    if source is None:
        say(f"{name} needs no files: its tasks are drawn, or come with an installed package")
        return 0
    if isinstance(source, str):
        raise UserError(source.replace("{root}", str(data_root())))
    say(f"{name}: {fetch(source, data_root())}")
    next_step("check them: python -m benchmarks.data verify", name, *(("--data-root", root) if root else ()))
    return 0


def _verify(suite: Suite, tasks: Sequence[str]) -> int:
    """Check the data of tasks against the suite's table and print their counts."""
    from benchmarks.suites.checking import all_faults, check_task
    from benchmarks.sweeps.fitting import with_few_points

    for name in tasks:
        check_task(suite, name)
    wrong = [*all_faults(suite, tasks), *with_few_points(suite, tasks, suite.backbones)]
    check(not wrong, f"the data of suite {suite.name} differ from its table: {'; '.join(wrong)}")
    for name in tasks:
        task = suite.tasks[name]
        say(f"{name}: {task.classes} classes, {task.train} + {task.val} + {task.test} samples")
        for line in suite.facts(name) if suite.facts else ():
            say(f"  {line}")
        if suite.unit_sphere and task.modality == "points":
            say("  a model sees every cloud centred and scaled to the unit sphere")
    say(f"suite {suite.name}: {len(tasks)} tasks have the samples, classes and values of its table")
    return 0


def _fingerprint(suite: Suite, task: str) -> str:
    try:
        return suite.fingerprint(task)[:12]
    except Missing:
        return f"not below {data_root()}"
    except UserError:
        return f"wrong: see verify {suite.name}"


def _convert(name: str) -> int:
    """Convert a suite's files and print the written paths."""
    from benchmarks import suites

    able = {known: run for known in suites.table() if (run := suites.get(known).convert)}
    check_known("suite with files to convert", name, able)
    say("written: " + ", ".join(map(str, able[name]())))
    next_step("check them: python -m benchmarks.data verify", name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
