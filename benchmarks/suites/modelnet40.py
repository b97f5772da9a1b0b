"""ModelNet40 (Wu et al. 2015, arXiv:1406.5670): all of it, and the few-shot folds of Point-BERT (arXiv:2111.14819)."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from benchmarks import published
from benchmarks.files import clouds
from benchmarks.files.clouds import Clouds
from benchmarks.files.coordinates import in_unit_sphere
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, pointclouds
from benchmarks.suites import modelnet40_files as files
from benchmarks.suites.modelnet40_files import CONVERTED, FEWSHOT, HDF5, NAMES, SPLITS, TEXT, find
from methods.errors import UserError, check

FULL = "modelnet40"
CONVERT = "python -m benchmarks.data convert modelnet40"
PAGE, LINKS = "https://modelnet.cs.princeton.edu", "https://github.com/Julie-tang00/Point-BERT/blob/master/DATASET.md"
OBTAIN = (
    f"modelnet40 cannot be fetched by a command: it is from {PAGE}, and {LINKS} links point clouds made of it and its "
    f"few-shot folds. Put {HDF5}/, {TEXT}/ (text clouds, or .dat to convert) or {FEWSHOT}/ below {{root}}"
)
_task = partial(pointclouds.task, source=f"ModelNet40, {PAGE}", licence="academic use")


def _fewshot(way: int, shot: int, fold: int) -> Task:
    """A fold, which has classes of its own, and 20 test clouds per class."""
    labels = tuple(f"class {number}" for number in range(way))
    group = f"{way}way_{shot}shot"
    return _task(name=f"{group}_{fold}", group=group, labels=labels, train=way * shot, test=way * 20)


_FOLDS = [_fewshot(way, shot, fold) for way in (5, 10) for shot in (10, 20) for fold in range(10)]
FOLDS = {task.name: task for task in _FOLDS}
# the copy in HDF5 lacks 3 training clouds
TASKS = {FULL: _task(name=FULL, group="full", labels=NAMES, train=9843, test=2468, lacking=3)} | FOLDS


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
    pickled = [folder for folder in find(TEXT) if _is_pickled(folder)]
    if pickled:
        raise UserError(f"{pickled[0]} holds pickles of ModelNet40; convert them to HDF5 with: {CONVERT}")
    raise Missing(
        f"the data of modelnet40/{FULL} are missing: put the folder {HDF5} (ply_data_*.h5) or {TEXT} (text clouds and "
        f"their lists, or modelnet40_*_8192pts_fps.dat) below {data_root()}"
    )


def _is_pickled(folder: Path) -> bool:
    return all(files.pickle_path(folder, split).is_file() for split in SPLITS)


def _is_text(folder: Path) -> bool:
    listed = all(files.list_path(folder, split).is_file() for split in SPLITS) and (folder / NAMES[0]).is_dir()
    return listed and not _is_pickled(folder)  # the pickles hold what papers trained on


LAYOUTS: dict[str, Callable[[Path], bool]] = {
    CONVERTED: lambda folder: all((folder / f"{split}.h5").is_file() for split in SPLITS),
    HDF5: lambda folder: any(folder.glob("ply_data_train*.h5")),
    TEXT: _is_text,
}


def _fold_path(task: str) -> Path:
    kind, _, fold = task.rpartition("_")
    for folder in find(FEWSHOT):
        for name in (kind, kind.replace("_", "")):
            if (folder / name / f"{fold}.pkl").is_file():
                return folder / name / f"{fold}.pkl"
    wanted = data_root() / FEWSHOT / kind / f"{fold}.pkl"
    where = f"put {wanted.name} of Point-BERT's few-shot data ({LINKS}) at {wanted}"
    raise Missing(f"the data of modelnet40/{task} are missing: {where}")


def read(place: Path, task: Task) -> tuple[Clouds, Clouds]:
    """The training and test clouds of a task in the unit sphere, with 1,024 farthest points first."""
    if place.name == CONVERTED:
        return files.read_converted(place)
    parts: Iterable[Clouds]
    if task.name in FOLDS:
        parts = files.read_fewshot(place, task.classes)
    elif place.name == TEXT:
        parts = (files.read_text(place, split) for split in SPLITS)
    else:
        listing = place / clouds.NAMES
        same = not listing.is_file() or clouds.names(place) == NAMES
        check(same, f"{listing} does not list the classes of ModelNet40 in their order; get the files again")
        parts = (clouds.read(place, split, cast=in_unit_sphere) for split in SPLITS)
    train, test = (files.ordered(place, part) for part in parts)
    return train, test


READER = pointclouds.Reader(tasks=TASKS, find=source, read=read, points=files.POINTS)
SUITE = Suite(
    name="modelnet40",
    tasks=TASKS,
    recipes={"points": pointclouds.RECIPE | {"augment": "scale_translate"}},
    backbones={"points": "point_mae_1k"},
    unit_sphere=True,
    farthest=files.POINTS,
    group_recipes={group: {"epochs": 150} for group in {fold.group for fold in FOLDS.values()}},  # as published
    load=READER.load,
    pool=READER.pool,
    fingerprint=READER.fingerprint,
    obtain=OBTAIN,
    convert=files.convert,
    published=published.files("pointcloud"),
)
