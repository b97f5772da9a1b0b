"""ModelNet40 (Wu et al. 2015, arXiv:1406.5670): all of it, and the few-shot folds of Point-BERT (arXiv:2111.14819)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks import published
from benchmarks.files import clouds
from benchmarks.files.clouds import Clouds
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, pointclouds
from benchmarks.suites.modelnet40_convert import convert
from benchmarks.suites.modelnet40_files import (
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
from methods.errors import UserError, check

FULL = "modelnet40"
TESTED = 20  # test clouds of every class of a few-shot fold
LACKING = 3  # training clouds that the copy in HDF5 lacks: it has 9,840
CONVERT = "python -m benchmarks.data convert modelnet40"
PAGE, LINKS = "https://modelnet.cs.princeton.edu", "https://github.com/Julie-tang00/Point-BERT/blob/master/DATASET.md"
OBTAIN = (
    f"modelnet40 cannot be fetched by a command: it is from {PAGE}, and {LINKS} links point clouds made of it and its "
    f"few-shot folds. Put {HDF5}/, {TEXT}/ (text clouds, or .dat to convert) or {FEWSHOT}/ below {{root}}"
)
_task = partial(pointclouds.task, source=f"ModelNet40, {PAGE}", licence="academic use")


def _fewshot(way: int, shot: int, fold: int) -> Task:
    labels = tuple(f"class {number}" for number in range(way))  # every fold has classes of its own
    return _task(f"{way}way_{shot}shot_{fold}", f"{way}way_{shot}shot", labels, way * shot, way * TESTED)


_FOLDS = [_fewshot(way, shot, fold) for way in (5, 10) for shot in (10, 20) for fold in range(10)]
FOLDS = {task.name: task for task in _FOLDS}
TASKS = {FULL: _task(FULL, "full", NAMES, 9843, 2468, lacking=LACKING)} | FOLDS


def source(task: str) -> Path:
    """What holds a task: the pickle of a fold; or a folder of converted, HDF5 or text clouds, the first that is there.

    Raises:
        Missing: there is nothing; the message names the layouts.
        UserError: there are only pickles of the full data set, which have to be converted first.
    """
    if task in FOLDS:
        return _fold_path(task)
    for name, is_there in LAYOUTS.items():
        for folder in find(name):
            if is_there(folder):
                return folder
    pickled = [folder for folder in find(TEXT) if all(pickle_path(folder, split).is_file() for split in SPLITS)]
    if pickled:
        raise UserError(f"{pickled[0]} holds pickles of ModelNet40; convert them to HDF5 with: {CONVERT}")
    raise Missing(
        f"the data of modelnet40/{FULL} are missing: put the folder {HDF5} (ply_data_*.h5) or {TEXT} (text clouds and "
        f"their lists, or modelnet40_*_8192pts_fps.dat) below {data_root()}"
    )


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
        f"the data of modelnet40/{task} are missing: put {wanted.name} of Point-BERT's few-shot data ({LINKS}) at "
        f"{wanted}"
    )


def read(place: Path, task: Task) -> tuple[Clouds, Clouds]:
    """The training and test clouds of a task: the first 1,024 points, centred and scaled to the unit sphere."""
    train, test = (clouds.unit_sphere(place, part, POINTS) for part in _raw(place, task))
    return train, test


def _raw(place: Path, task: Task) -> tuple[Clouds, Clouds]:
    if task.name in FOLDS:
        return read_fewshot(place, task.classes)
    if place.name == TEXT:
        train, test = (read_text(place, split, lambda count: None) for split in SPLITS)
    elif place.name == HDF5:
        _check_names(place)
        train, test = (clouds.read(place, split) for split in SPLITS)
    else:
        train, test = (clouds.read_file(place / f"{split}.h5", len(NAMES)) for split in SPLITS)
    return train, test


def _check_names(folder: Path) -> None:
    path = folder / clouds.NAMES
    if path.is_file():
        same = clouds.names(folder) == NAMES
        check(same, f"{path} does not list the classes of ModelNet40 in their order; get the files again")


READER = pointclouds.Reader(tasks=TASKS, find=source, read=read)
SUITE = Suite(
    name="modelnet40",
    tasks=TASKS,
    recipes={"points": pointclouds.RECIPE | {"augment": "scale_translate"}},
    backbones={"points": "point_mae_1k"},
    load=READER.load,
    fingerprint=READER.fingerprint,
    obtain=OBTAIN,
    convert=convert,
    published=published.files("pointcloud"),
)
