"""The suite of a person's own files: every folder in the data root with images or point clouds in a known layout."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.files import clouds, contents, decoded, layouts, verify
from benchmarks.files.classes import check_several, gaps, some
from benchmarks.files.coordinates import as_stored, in_unit_sphere, told
from benchmarks.files.frames import Frame
from benchmarks.files.holdout import hold_out
from benchmarks.files.places import Place, check_name, hidden
from benchmarks.files.root import Missing
from benchmarks.suites import Suite, Task, groups, names
from methods.errors import UserError, check
from methods.modality import Modality

if TYPE_CHECKING:
    from torch import Tensor

SHARED: dict[str, object] = {"warmup_epochs": 10, "drop_path": 0.1}
RECIPES: dict[Modality, dict[str, object]] = {
    "image": SHARED | {"epochs": 100, "batch_size": 64},
    "points": SHARED | {"epochs": 300, "batch_size": 32, "clip_grad": 10.0},
}
BACKBONES: dict[Modality, str] = {"image": "vit_nano", "points": "point_nano"}
KNOWN = (
    "train800.txt, val200.txt and test.txt (lines 'PATH LABEL'), or train/CLASS/*.jpg and test/CLASS/*.jpg, "
    "or ply_data_train*.h5 and ply_data_test*.h5"
)
# columns of tables, in which the accuracies of a task of that name would be lost
TAKEN = {
    *("row", "method", "source", "seeds", "mean", "rank", "params", "head", "%", "PPT", "published", "spec.seed"),
    *("95 % interval", "group mean", "against best", "frozen BatchNorm"),
}
STARTS = (layouts.LISTS["train"], "train", "ply_data_train*.h5")  # a folder with one of them is meant as a task
OBTAIN = (
    "folder is a suite of your own files in {root}: nothing is fetched. benchmarks/suites/README.md has the layouts"
)
_task = partial(Task, group=groups.OWN, source="own files", licence="not known")


@dataclass(frozen=True, kw_only=True)
class Data:
    """A task, one line on numbers that its labels leave out, and how its files are read."""

    task: Task
    note: str = ""
    load: Callable[[str, Frame | None], tuple[Tensor, Tensor]]
    files: Callable[[str], list[str]]
    fingerprint: Callable[[], str]
    facts: Callable[[], list[str]] = list
    faults: Callable[[], list[str]]


def suite(root: Path) -> Suite:
    """The suite that has the name of a folder. Its tasks are the folder's subfolders, or the folder itself alone.

    Raises:
        Missing: there is no such folder, or no task in it.
        UserError: another suite has that name, or files are not as their layout says.
    """
    check_name(root)
    if not root.is_dir():
        raise Missing(f"there is no folder {root}; give the folder of your data with --data-root DIR")
    name = root.name
    check(not hidden(name), f"records of the hidden folder {root} would never be found again; rename it")
    check(bool(name) and name not in names(), f"the folder {root} has the name of another suite; rename it")
    found, wrong = _find(root)
    check(not wrong, "; ".join(wrong))
    if not found:
        cure = (
            "give the folder of your data with --data-root DIR, or make training and test images of DIR/CLASS/*.jpg "
            "with: python -m benchmarks.data split DIR"
        )
        raise Missing(f"no task in {root} or in one of its folders; a task has {KNOWN}; {_deeper(root) or cure}")
    group = groups.read(root / groups.FILE, found)
    present = {data.task.modality for data in found.values()}
    return Suite(
        name=name,
        tasks={task: replace(data.task, group=group.get(task, groups.OWN)) for task, data in found.items()},
        recipes={kind: RECIPES[kind] for kind in RECIPES if kind in present},
        backbones={kind: BACKBONES[kind] for kind in RECIPES if kind in present},
        unit_sphere=True,
        obtain=OBTAIN,
        load=lambda task, split, *, frame: found[task].load(split, frame),
        files=lambda task, split: found[task].files(split),
        fingerprint=lambda task: found[task].fingerprint(),
        facts=lambda task: found[task].facts(),
        faults=lambda task: found[task].faults(),
        notes={task: data.note for task, data in found.items() if data.note},
    )


def _find(root: Path) -> tuple[dict[str, Data], list[str]]:
    """The tasks by name, and one line per folder whose files are not as their layout says."""
    found: dict[str, Data] = {}
    wrong: list[str] = []
    for folder in [root, *(root / name for name in Place(root).folders("."))]:
        try:
            data = _data(folder)
        except UserError as error:
            wrong.append(str(error))
            continue
        except OSError as error:
            wrong.append(f"cannot read {error.filename}: {error.strerror}")
            continue
        if data:
            name = data.task.name
            lost = name in TAKEN or name.endswith(" mean")
            check(not lost, f"{folder}: a column of the tables is named '{name}'; give the folder another name")
            found[name] = data
        if folder == root and (found or wrong):
            break
    return found, wrong


def _deeper(root: Path) -> str:
    """Where a task lies a folder too deep, and how to name that folder; an empty text if there is none."""
    place = Place(root)
    with suppress(UserError):  # a folder that cannot be read
        for name in place.folders("."):
            for inner in place.folders(name):
                folder = root / name / inner
                if any(next(folder.glob(start), None) for start in STARTS):
                    return f"{folder} has one: give --data-root {root / name}"
    return ""


def _data(folder: Path) -> Data | None:
    if any(folder.glob("ply_data_*.h5")):
        return _points(folder)
    layout = layouts.find(folder)
    if layout is None:
        return None
    counts: dict[str, Any] = {split: len(samples) for split, samples in layout.splits.items()}
    return Data(
        task=_task(name=folder.name, modality="image", labels=layout.labels, **counts),
        note=layout.note,
        load=partial(decoded.load, layout),
        files=layout.files,
        fingerprint=partial(contents.task_fingerprint, layout),
        facts=partial(verify.facts, layout),
        faults=partial(verify.images, layout),
    )


def _points(folder: Path) -> Data:
    files = _cloud_files(folder)
    labels, sizes = _point_labels(folder, files)
    numbers = np.unique(labels["train"])
    classes = tuple(map(str, numbers))
    if (folder / clouds.NAMES).is_file():
        classes = clouds.names(folder)
        numbers = np.arange(len(classes))
    unlearned = np.setdiff1d(labels["test"], numbers)
    check(not len(unlearned), f"{folder}: test has label {some(map(str, unlearned))}, which train does not have")
    check_several(folder, [classes[number] for number in np.flatnonzero(np.isin(numbers, labels["train"]))])
    train, val = hold_out(labels["train"])
    check(len(val) > 0, f"{folder}: no class has a second training cloud, which validation needs; add clouds")

    def read(split: Literal["train", "test"]) -> clouds.Clouds:
        x, y = clouds.read(folder, split, cast=in_unit_sphere)
        return x, np.searchsorted(numbers, y)

    def load(split: str, frame: Frame | None) -> tuple[Tensor, Tensor]:
        import torch

        x, y = read("test" if split == "test" else "train")
        chosen: Any = {"train": train, "val": val, "test": slice(None)}[split]
        return torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])

    counts: dict[str, Any] = {"train": len(train), "val": len(val), "test": len(labels["test"])}
    note = gaps(folder, numbers.tolist())
    return Data(
        task=_task(name=folder.name, modality="points", labels=classes, points=min(sizes.values()), **counts),
        note=note,
        load=load,
        files=lambda split: [],
        fingerprint=partial(_cloud_fingerprint, folder, files),
        facts=partial(_facts, folder),
        faults=lambda: verify.points(folder, {"train": read("train"), "test": read("test")}, len(classes), note),
    )


def _cloud_fingerprint(folder: Path, files: tuple[tuple[str, int, int], ...]) -> str:
    own = contents.fingerprint(folder, [(name, 0) for name, _, _ in files])
    # models see other clouds than before these were put into the unit sphere
    return hashlib.sha256(f"unit sphere {own}".encode()).hexdigest()


def _facts(folder: Path) -> list[str]:
    train, test = (clouds.read(folder, "train", cast=as_stored), clouds.read(folder, "test", cast=as_stored))
    return [*told("train", train[0]), *told("test", test[0])]


def _cloud_files(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file of clouds.

    Raises:
        UserError: one is no plain file inside the data root, has a name that is not UTF-8, or is in train and in test.
    """
    found = sorted(path.name for path in folder.glob("ply_data_*.h5"))
    for name in found:
        check_name(folder / name)
    parts = {split: [name for name in found if name.startswith(f"ply_data_{split}")] for split in ("train", "test")}
    contents.check_apart(folder, {split: [(name, 0) for name in part] for split, part in parts.items()})
    states = {name: (folder / name).stat() for name in found}
    return tuple((name, state.st_size, state.st_mtime_ns) for name, state in states.items())


@cache
def _point_labels(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> tuple[dict[str, Any], dict[str, int]]:
    """Labels and points per cloud of train and test; read once per process, because the points are read with them."""
    splits = {
        "train": clouds.read(folder, "train", cast=in_unit_sphere),
        "test": clouds.read(folder, "test", cast=in_unit_sphere),
    }
    return {name: y for name, (_, y) in splits.items()}, {name: x.shape[1] for name, (x, _) in splits.items()}
