"""ScanObjectNN (Uy et al. 2019): scanned objects of 15 classes in three variants, behind a form with terms of use."""

from functools import partial
from pathlib import Path

from benchmarks import published
from benchmarks.files import clouds
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, pointclouds
from methods.errors import check

POINTS = 2048
_LIST = "bag bin box cabinet chair desk display door shelf table bed pillow sink sofa toilet"
NAMES = tuple(_LIST.split())
FILES = {  # {} stands for training or test
    "obj_bg": "main_split/{}_objectdataset.h5",
    "obj_only": "main_split_nobg/{}_objectdataset.h5",
    "pb_t50_rs": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
}
PLACES = ("scanobjectnn", "ScanObjectNN", ".")
PAGE = "https://hkust-vgd.github.io/scanobjectnn/"
OBTAIN = (
    f"scanobjectnn cannot be fetched by a command: its page {PAGE} hands it out after a form with terms of use. Put "
    "main_split/ and main_split_nobg/, each with training_objectdataset.h5 and test_objectdataset.h5, the first also "
    "with both as *_augmentedrot_scale75.h5, below {root}/scanobjectnn"
)
_task = partial(pointclouds.task, labels=NAMES, licence="terms of use")
_TASKS = (
    _task(name="obj_bg", group="clean", train=2309, test=581, source=f"ScanObjectNN OBJ_BG, {PAGE}"),
    _task(name="obj_only", group="clean", train=2309, test=581, source=f"ScanObjectNN OBJ_ONLY, {PAGE}"),
    _task(name="pb_t50_rs", group="hard", train=11416, test=2882, source=f"ScanObjectNN PB_T50_RS, {PAGE}"),
)
TASKS = {task.name: task for task in _TASKS}


def find(task: str) -> Path:
    """The folder that holds the files of a task: ``scanobjectnn`` or ``ScanObjectNN`` below the data root, or the root.

    Raises:
        Missing: there is none; the message says where the files come from and where to put them.
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


def read(place: Path, task: Task) -> tuple[clouds.Clouds, clouds.Clouds]:
    """The training and test clouds of a task as they are in the files, without normalisation."""
    train, test = (_file(place / FILES[task.name].format(split)) for split in ("training", "test"))
    return train, test


def _file(path: Path) -> clouds.Clouds:
    found = clouds.read_file(path, len(NAMES))
    count = found[0].shape[1]
    check(count == POINTS, f"{path} has clouds of {count} points, not {POINTS}; get the file again")
    return found


READER = pointclouds.Reader(tasks=TASKS, find=find, read=read, points=POINTS)
SUITE = Suite(
    name="scanobjectnn",
    tasks=TASKS,
    recipes={"points": pointclouds.RECIPE | {"augment": "rotate"}},
    backbones={"points": "point_mae"},
    load=READER.load,
    fingerprint=READER.fingerprint,
    obtain=OBTAIN,
    published=published.files("pointcloud", published.FIGURE),
    panel=published.Panel(
        task="pb_t50_rs", title="ScanObjectNN PB_T50_RS", accuracy="overall accuracy (%)", counted="with the head"
    ),
)
