"""The suite that needs no download: real digits and clothes, and drawn images and solids as real suites have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.files.contents import digest
from benchmarks.files.frames import Frame
from benchmarks.suites import Suite, Task, offline_images, offline_points

if TYPE_CHECKING:
    from torch import Tensor

Split = tuple[NDArray[Any], NDArray[np.int64]]  # inputs and labels

SPLITS = ("train", "val", "test")
# training sets are small, or pretraining would not matter; the twenty classes of solids need more samples
SIZES = {"image": (160, 40, 1000), "points": (320, 80, 1000)}
RECIPE = {"batch_size": 16, "warmup_epochs": 2}
GENERATORS: dict[str, Callable[[tuple[int, ...]], Split]] = {**offline_images.TASKS, **offline_points.TASKS}
PROCEDURAL, REAL = "procedural", "UCI digits (1,797 real 8 x 8 digits)"
CLOTHES = "Fashion-MNIST (1,200 of its 70,000 images)"
LICENCES = {PROCEDURAL: "Apache-2.0", CLOTHES: "MIT"}  # of all other sources CC BY 4.0


def _modality(task: str) -> Literal["image", "points"]:
    return "points" if task in offline_points.TASKS else "image"


def _task(name: str, group: str, labels: tuple[str, ...], source: str = PROCEDURAL) -> Task:
    modality = _modality(name)
    train, val, test = SIZES[modality]
    return Task(
        name=name,
        modality=modality,
        labels=labels,
        group=group,
        train=train,
        val=val,
        test=test,
        source=source,
        licence=LICENCES.get(source, "CC BY 4.0"),
    )


_TASKS = (
    _task("digits", "natural", offline_images.DIGITS, REAL),
    _task("fashion", "natural", offline_images.CLOTHES, CLOTHES),
    _task("texture", "natural", tuple(offline_images.TEXTURES)),
    _task("orientation", "structured", offline_images.ANGLES, REAL + ", turned"),
    _task("count", "structured", offline_images.COUNTS),
    _task("location", "structured", offline_images.CELLS),
    _task("solids", "clean", tuple(offline_points.SOLIDS)),
    _task("solids_hard", "hard", tuple(offline_points.SOLIDS)),
)


@cache
def arrays(task: str, sizes: tuple[int, ...] = ()) -> dict[str, Split]:
    """Inputs and labels of every split of a task: the same bytes on every machine.

    ``sizes`` are the samples per split, if not those of the suite.
    """
    sizes = sizes or SIZES[_modality(task)]
    x, y = GENERATORS[task](sizes)
    edges = np.cumsum(sizes)[:-1]
    return dict(zip(SPLITS, zip(np.split(x, edges), np.split(y, edges), strict=True), strict=True))


def load(task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
    """Inputs and labels of a split; images are 32 pixels wide whatever ``frame`` says."""
    import torch

    x, y = arrays(task)[split]
    return torch.from_numpy(x), torch.from_numpy(y)


@cache
def fingerprint(task: str) -> str:
    """The digest of a task's data."""
    return digest(arrays(task))


SUITE = Suite(
    name="offline",
    tasks={task.name: task for task in _TASKS},
    recipes={"image": RECIPE | {"epochs": 15}, "points": RECIPE | {"epochs": 10}},
    backbones={"image": "vit_nano", "points": "point_nano"},
    unit_sphere=True,
    load=load,
    fingerprint=fingerprint,
    version=2,  # the first had no clothes, and another pretrained backbone
)
