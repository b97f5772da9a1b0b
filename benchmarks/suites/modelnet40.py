"""ModelNet40 (Wu et al. 2015, arXiv:1406.5670): all of it, and the few-shot folds of Point-BERT (arXiv:2111.14819)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import clouds
from benchmarks.files.modelnet import (
    CONVERTED,
    FEWSHOT,
    HDF5,
    NAMES,
    POINTS,
    SPLITS,
    TEXT,
    find,
    list_path,
    pickle_path,
    read_fewshot,
    read_text,
)
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

FULL = "modelnet40"
TESTED = 20  # clouds of every class that a few-shot fold is tested on
LACKING = 3  # training clouds that the copy in HDF5 lacks: it has 9,840
CONVERT = "python -m benchmarks.data convert modelnet40"


def _task(name: str, group: str, labels: tuple[str, ...], train: int, test: int, lacking: int = 0) -> Task:
    val = round(train / 10)
    return Task(
        name=name,
        modality="points",
        labels=labels,
        group=group,
        train=train - val,
        val=val,
        test=test,
        lacking=lacking,
        source="ModelNet40, https://modelnet.cs.princeton.edu",
        licence="academic use",
    )


def _fewshot(way: int, shot: int, fold: int) -> Task:
    labels = tuple(f"class {number}" for number in range(way))  # every fold has classes of its own
    return _task(f"{way}way_{shot}shot_{fold}", f"{way}way_{shot}shot", labels, way * shot, way * TESTED)


_FOLDS = [_fewshot(way, shot, fold) for way in (5, 10) for shot in (10, 20) for fold in range(10)]
FOLDS = {task.name: task for task in _FOLDS}
TASKS = {FULL: _task(FULL, "full", NAMES, 9843, 2468, LACKING)} | FOLDS


def source(task: str) -> Path:
    """What holds a task's clouds: a fold's pickle; or a folder of HDF5 files or of text clouds, the converted first.

    Raises:
        Missing: nothing; the message names the layouts.
    """
    if task in FOLDS:
        return _fold_path(task)
    for name, is_there in LAYOUTS.items():
        for folder in find(name):
            if is_there(folder):
                return folder
    pickled = [folder for folder in find(TEXT) if all(pickle_path(folder, split).is_file() for split in SPLITS)]
    if pickled:
        raise ValueError(f"{pickled[0]} holds pickles of ModelNet40: make HDF5 of them with: {CONVERT}")
    raise Missing(
        f"the data of modelnet40/{FULL} are missing: put the folder {HDF5} (ply_data_*.h5) or {TEXT} (text clouds and "
        f"their lists, or modelnet40_*_8192pts_fps.dat) below {data_root()}"
    )


def load(task: str, split: str, *, size: int | None) -> tuple[Tensor, Tensor]:
    """The first 1,024 points of every cloud, centred and scaled to the unit sphere, and labels."""
    import torch

    x, y = _splits(source(task), task)[split]
    return torch.from_numpy(x), torch.from_numpy(y)


def fingerprint(task: str) -> str:
    """SHA-256 over the bytes of all splits."""
    return _fingerprint(source(task), task)


def is_converted(folder: Path) -> bool:
    return all((folder / f"{split}.h5").is_file() for split in SPLITS)


def is_hdf5(folder: Path) -> bool:
    return any(folder.glob("ply_data_train*.h5"))


def is_text(folder: Path) -> bool:
    return all(list_path(folder, split).is_file() for split in SPLITS) and (folder / NAMES[0]).is_dir()


LAYOUTS = {CONVERTED: is_converted, HDF5: is_hdf5, TEXT: is_text}


def _fold_path(task: str) -> Path:
    kind, _, fold = task.rpartition("_")
    for folder in find(FEWSHOT):
        for name in (kind, kind.replace("_", "")):
            if (folder / name / f"{fold}.pkl").is_file():
                return folder / name / f"{fold}.pkl"
    wanted = data_root() / FEWSHOT / kind / f"{fold}.pkl"
    raise Missing(
        f"the data of modelnet40/{task} are missing: put {wanted.name} of Point-BERT's few-shot data "
        f"(https://github.com/Julie-tang00/Point-BERT/blob/master/DATASET.md) at {wanted}"
    )


@cache
def _splits(path: Path, task: str) -> dict[str, clouds.Clouds]:
    train, test = (clouds.unit_sphere(path, part, POINTS) for part in _raw(path, task))
    known = TASKS[task]
    counts, whole = (len(train[1]), len(test[1])), known.train + known.val
    fits = counts in ((whole, known.test), (whole - known.lacking, known.test))
    check(fits, f"{path} has {counts[0]} training and {counts[1]} test clouds, not {whole} and {known.test}")
    return clouds.divided(train, test)


def _raw(path: Path, task: str) -> tuple[clouds.Clouds, clouds.Clouds]:
    if task in FOLDS:
        return read_fewshot(path, TASKS[task].classes)
    if path.name == TEXT:
        train, test = (read_text(path, split, lambda count: None) for split in SPLITS)
    elif path.name == HDF5:
        _check_names(path)
        train, test = (clouds.read(path, split) for split in SPLITS)
    else:
        train, test = (clouds.read_file(path / f"{split}.h5", len(NAMES)) for split in SPLITS)
    return train, test


def _check_names(path: Path) -> None:
    if (path / clouds.NAMES).is_file():
        check(
            clouds.names(path) == NAMES, f"{path / clouds.NAMES} does not list the classes of ModelNet40 in their order"
        )


@cache
def _fingerprint(path: Path, task: str) -> str:
    return clouds.digest(_splits(path, task))


SUITE = Suite(
    name="modelnet40",
    tasks=TASKS,
    recipes={"points": clouds.RECIPE | {"augment": "scale_translate"}},
    backbones={"points": "point_mae_1k"},
    load=load,
    fingerprint=fingerprint,
)
