"""VTAB-1K: 19 image tasks of 1,000 training samples (Zhai et al. 2019, arXiv:1910.04867), in the layout of its lists.

The files are JPEGs even where the originals are not. The 32-pixel sets lose accuracy by that (CIFAR-100 comes to about
70 percent, against 80 from the original pixels), so compare with results on the same files.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import published
from benchmarks.files import contents, decoded, layouts
from benchmarks.files.fetch import Archive
from benchmarks.files.frames import Frame
from benchmarks.files.layouts import Layout
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, image_lists
from methods.errors import check_known

if TYPE_CHECKING:
    from torch import Tensor

ARCHIVE = Archive(
    repository="XiN0919/VTAB-1k",
    name="vtab-1k.zip",
    folder="vtab-1k",
    lists=(*layouts.LISTS.values(), layouts.EVERYTHING),
    check="python -m benchmarks.data verify vtab1k",
)
RECIPE = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "drop_path": 0.1}
BACKBONE = "vit_base_patch16_224.orig_in21k"

_ROWS: list[dict[str, str]] = list(
    csv.DictReader(Path(__file__).with_suffix(".csv").read_text(encoding="utf-8").splitlines())
)
FOLDERS = {row["name"]: tuple(row["folders"].split()) for row in _ROWS}  # every name that a task's folder may have


def _task(row: Mapping[str, str]) -> Task:
    return Task(
        name=row["name"],
        modality="image",
        labels=tuple(map(str, range(int(row["classes"])))),
        group=row["group"],
        train=800,
        val=200,
        test=int(row["test"]),
        source=row["source"],
        licence=row["licence"],
    )


def find(task: str) -> Path:
    """A task's folder, by any of its names, in ``vtab-1k`` below the data root or in the data root itself.

    Raises:
        Missing: there is no such folder.
    """
    root, names = data_root(), FOLDERS[task]
    places = [place / name for place in (root / ARCHIVE.folder, root) for name in names]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise Missing(
            f"VTAB-1K's task '{task}' is not below {root}: looked for a folder {' or '.join(names)} in it and in "
            f"{root / ARCHIVE.folder}; get it with `python -m benchmarks.data fetch vtab1k`, or give --data-root DIR"
        )
    return found[0]


def task_of(folder: str) -> str:
    """The task whose folder has this name in some project.

    Raises:
        UserError: there is none.
    """
    tasks = {name: task for task, names in FOLDERS.items() for name in names}
    check_known("data set of VTAB-1K", folder, tasks)
    return tasks[folder]


def read(task: str) -> Layout:
    """A task's lists, checked against the table's counts and classes.

    Raises:
        UserError: a list is missing or differs from the table; the message has the folder, the list and the count.
    """
    expected, layout = SUITE.tasks[task], layouts.lists(find(task))
    for split, samples in layout.splits.items():
        count, path = getattr(expected, split), layout.folder / layouts.LISTS[split]
        image_lists.check_list(path, samples, task, count=count, classes=expected.classes)
    return replace(layout, labels=expected.labels)


def load(task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
    """Images and labels of a split."""
    return decoded.load(read(task), split, frame)


def files(task: str, split: str) -> list[str]:
    """The images of a split, below the data root."""
    return read(task).files(split)


def fingerprint(task: str) -> str:
    """SHA-256 over the lists and the bytes of the files."""
    return contents.task_fingerprint(read(task))


def faults(task: str) -> list[str]:
    """What is wrong with a task's lists and files, one line per fault.

    Raises:
        Missing: the task has no folder.
    """
    return image_lists.faults(partial(read, task))


SUITE = Suite(
    name="vtab1k",
    tasks={task.name: task for task in map(_task, _ROWS)},
    recipes={"image": RECIPE},
    backbones={"image": BACKBONE},
    load=load,
    files=files,
    fingerprint=fingerprint,
    obtain=ARCHIVE,
    faults=faults,
    published=published.files("vtab1k", published.FIGURE, "vtab1k_groups", "vtab1k_swin"),
    panel=published.Panel(
        task=published.GROUP_MEAN,
        title="VTAB-1K",
        accuracy="mean of the three group means (%)",
        counted="without the head (linear: the head)",
    ),
)
