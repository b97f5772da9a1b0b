"""ScanObjectNN (Uy et al. 2019): scanned objects of 15 classes in three variants; the files are the user's to get."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import clouds
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 2048
_LIST = "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet"
NAMES = tuple(_LIST.split())
FILES = {  # with {} for training or test
    "obj_bg": "main_split/{}_objectdataset.h5",
    "obj_only": "main_split_nobg/{}_objectdataset.h5",
    "pb_t50_rs": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
}
PLACES = ("scanobjectnn", "ScanObjectNN", ".")
PAGE = "https://hkust-vgd.github.io/scanobjectnn/"


def _task(name: str, group: str, train: int, test: int) -> Task:
    val = round(train / 10)
    return Task(
        name=name,
        modality="points",
        labels=NAMES,
        group=group,
        train=train - val,
        val=val,
        test=test,
        source=f"ScanObjectNN {name.upper()}, {PAGE}",
        licence="terms of use",
    )


TASKS = {
    "obj_bg": _task("obj_bg", "clean", 2309, 581),
    "obj_only": _task("obj_only", "clean", 2309, 581),
    "pb_t50_rs": _task("pb_t50_rs", "hard", 11416, 2882),
}


def folder(task: str) -> Path:
    """Where the files of a task lie: below the data root in ``scanobjectnn`` or ``ScanObjectNN``, or directly in it.

    Raises:
        Missing: nowhere; the message says where they come from and how they are laid out.
    """
    for place in PLACES:
        found = data_root() / place
        if (found / FILES[task].format("training")).is_file():
            return found
    paths = " and ".join(FILES[task].format(split) for split in ("training", "test"))
    raise Missing(
        f"the data of scanobjectnn/{task} are missing: accept the terms of use on {PAGE}, download the h5 files, and "
        f"put {paths} below {data_root() / PLACES[0]}"
    )


def load(task: str, split: str, *, size: int | None) -> tuple[Tensor, Tensor]:
    """Clouds as they are in the files, without normalisation, and labels; val is a tenth of the training file."""
    import torch

    x, y = _splits(folder(task), task)[split]
    return torch.from_numpy(x), torch.from_numpy(y)


def fingerprint(task: str) -> str:
    """SHA-256 over the bytes of all splits."""
    return _fingerprint(folder(task), task)


@cache
def _splits(place: Path, task: str) -> dict[str, clouds.Clouds]:
    known = TASKS[task]
    parts = []
    for name, expected in (("training", known.train + known.val), ("test", known.test)):
        path = place / FILES[task].format(name)
        part = clouds.read_file(path, len(NAMES))
        shape = part[0].shape
        fits = shape[:2] == (expected, POINTS)
        check(
            fits, f"{path} has {shape[0]} clouds of {shape[1]} points, not {expected} of {POINTS}; get the file again"
        )
        parts.append(part)
    return clouds.divided(*parts)


@cache
def _fingerprint(place: Path, task: str) -> str:
    return clouds.digest(_splits(place, task))


SUITE = Suite(
    name="scanobjectnn",
    tasks=TASKS,
    recipes={"points": clouds.RECIPE | {"augment": "rotate"}},
    backbones={"points": "point_mae"},
    load=load,
    fingerprint=fingerprint,
)
