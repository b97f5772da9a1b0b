"""The suite of a person's own files: every folder in the data root with images or point clouds in a known layout."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.files import clouds, contents, decoded, layouts, verify
from benchmarks.files.holdout import hold_out
from benchmarks.files.root import Missing
from benchmarks.suites import Suite, Task, names
from methods.base import Modality
from methods.errors import UserError, check

SHARED: dict[str, object] = {"warmup_epochs": 10, "drop_path": 0.1}
RECIPES: dict[Modality, dict[str, object]] = {
    "image": SHARED | {"epochs": 100, "batch_size": 64},
    "points": SHARED | {"epochs": 300, "batch_size": 32, "clip_grad": 10.0},
}
KNOWN = (
    "train800.txt, val200.txt and test.txt (lines 'PATH LABEL'), or train/CLASS/*.jpg and test/CLASS/*.jpg, "
    "or ply_data_train*.h5 and ply_data_test*.h5"
)
OBTAIN = (
    "folder is a suite of your own files in {root}: nothing is fetched. benchmarks/suites/README.md has the layouts"
)
_task = partial(Task, group="own", source="own files", licence="not known")


@dataclass(frozen=True, kw_only=True)
class Data:
    """A task and how its files are read."""

    task: Task
    load: Callable[[str, int | None], tuple[Tensor, Tensor]]
    fingerprint: Callable[[], str]
    faults: Callable[[], list[str]]


def suite(root: Path) -> Suite:
    """The suite that has the name of a folder. Its tasks are the folder's subfolders, or the folder itself alone.

    Raises:
        Missing: there is no such folder, or no task in it.
        UserError: another suite has that name, or files are not as their layout says.
    """
    if not root.is_dir():
        raise Missing(f"there is no folder {root}; give the folder of your data with --data-root DIR")
    name = root.name
    check(bool(name) and name not in names(), f"the folder {root} has the name of another suite; rename it")
    found, wrong = _find(root)
    check(not wrong, "; ".join(wrong))
    if not found:
        cure = "give the folder of your data with --data-root DIR"
        raise Missing(f"no task in {root} or in one of its folders; a task has {KNOWN}; {cure}")
    present = {data.task.modality for data in found.values()}
    backbones: dict[Modality, str] = {"image": "vit_nano", "points": "point_nano"}
    return Suite(
        name=name,
        tasks={task: data.task for task, data in found.items()},
        recipes={kind: RECIPES[kind] for kind in RECIPES if kind in present},
        backbones={kind: backbones[kind] for kind in RECIPES if kind in present},
        obtain=OBTAIN,
        load=lambda task, split, *, size: found[task].load(split, size),
        fingerprint=lambda task: found[task].fingerprint(),
        faults=lambda task: found[task].faults(),
    )


def _find(root: Path) -> tuple[dict[str, Data], list[str]]:
    """The tasks by name, and one line per folder whose files are not as their layout says."""
    found: dict[str, Data] = {}
    wrong: list[str] = []
    below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    for folder in [root, *below]:
        try:
            data = _data(folder)
        except UserError as error:
            wrong.append(str(error))
            continue
        if data:
            found[data.task.name] = data
        if folder == root and (found or wrong):
            break
    return found, wrong


def _data(folder: Path) -> Data | None:
    if any(folder.glob("ply_data_*.h5")):
        return _points(folder)
    layout = layouts.find(folder)
    if layout is None:
        return None
    counts: dict[str, Any] = {split: len(samples) for split, samples in layout.splits.items()}
    return Data(
        task=_task(name=folder.name, modality="image", labels=layout.labels, **counts),
        load=partial(decoded.load, layout),
        fingerprint=partial(contents.task_fingerprint, layout),
        faults=partial(verify.images, layout),
    )


def _points(folder: Path) -> Data:
    files = sorted(folder.glob("ply_data_*.h5"))
    labels = _point_labels(folder, tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files))
    classes, highest = clouds.names(folder), int(max(y.max() for y in labels.values()))
    known = f"train has labels 0 to {len(classes) - 1}"
    check(highest < len(classes), f"{folder}: a test cloud has label {highest}, but {known}")
    train, val = hold_out(labels["train"])
    check(len(val) > 0, f"{folder}: no class has a second training cloud, which validation needs; add clouds")

    def load(split: str, size: int | None) -> tuple[Tensor, Tensor]:
        x, y = clouds.read(folder, "test" if split == "test" else "train")
        chosen: Any = {"train": train, "val": val, "test": slice(None)}[split]
        return torch.from_numpy(x[chosen]), torch.from_numpy(y[chosen])

    def faults() -> list[str]:
        splits = {"train": clouds.read(folder, "train"), "test": clouds.read(folder, "test")}
        return verify.points(folder, splits, task.classes)

    counts: dict[str, Any] = {"train": len(train), "val": len(val), "test": len(labels["test"])}
    task = _task(name=folder.name, modality="points", labels=classes, **counts)
    fingerprint = partial(contents.fingerprint, folder, [(path.name, 0) for path in files])
    return Data(task=task, load=load, fingerprint=fingerprint, faults=faults)


@cache
def _point_labels(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> dict[str, Any]:
    """Labels of the training and test clouds; read once per process, because the points are read with them."""
    return {"train": clouds.read(folder, "train")[1], "test": clouds.read(folder, "test")[1]}
