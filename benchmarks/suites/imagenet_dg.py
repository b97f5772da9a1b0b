"""Domain generalisation: one training on 16-shot ImageNet, tested on ImageNet and four sets of other looks.

By the lists of NOAH's repository (Zhang et al. 2022, arXiv:2206.04673). Every seed has a training list of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import published
from benchmarks.files import contents, decoded, layouts
from benchmarks.files.classes import some
from benchmarks.files.frames import Frame
from benchmarks.files.holdout import hold_out
from benchmarks.files.layouts import ENDINGS, Layout, Sample
from benchmarks.files.places import Place
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, image_lists
from benchmarks.suites.fewshot import AUGMENTATION, FRAME, PAGE, SEEDS, STEPS
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

SHOTS, CLASSES = 16, 1000
TRAIN, TESTED = "annotations/train_meta.list.num_shot_16.seed_{seed}", "annotations/val_meta.list"
PLACES = ("domain-generalization", "few-shot", ".")
OBTAIN = (
    "imagenet_dg cannot be fetched by a command: its lists are in data/few-shot/imagenet and "
    f"data/domain-generalization of {PAGE}, and CoOp's DATASETS.md has its images. Put imagenet/annotations/, "
    "imagenet/train/, imagenet/val/, imagenetv2/, imagenet-sketch/, imagenet-adversarial/, imagenet-rendition/ below "
    "{root}"
)


class Images(NamedTuple):
    """A test set: every name that its folder may have, where its list's paths start, its images and its classes."""

    folders: tuple[str, ...]
    below: str
    total: int
    classes: int


TESTS = {
    "test": Images(("imagenet",), "val/", 50_000, CLASSES),
    "sketch": Images(("imagenet-sketch", "imagenet_sketch"), "", 50_889, CLASSES),
    "v2": Images(("imagenetv2", "imagenet_v2"), "", 10_000, CLASSES),
    "a": Images(("imagenet-adversarial", "imagenet_a"), "", 7_500, 200),
    "r": Images(("imagenet-rendition", "imagenet_r"), "", 30_000, 200),
}
HELD_OUT = CLASSES * SHOTS // 10  # of the training list, to validate on; the final run trains on all of it
TASK = Task(
    name="imagenet",
    modality="image",
    labels=tuple(map(str, range(CLASSES))),
    group="source",
    train=CLASSES * SHOTS - HELD_OUT,
    val=HELD_OUT,
    test=TESTS["test"].total,
    source="ImageNet (ILSVRC 2012), V2, Sketch, A and R",
    licence="research only",
    tests=tuple(TESTS),
)
TASKS = {TASK.name: TASK}


def find(names: Sequence[str]) -> str:
    """The path below the data root of a folder that may have several names.

    Raises:
        Missing: there is none.
    """
    root = data_root()
    for place in (Path(place, name) for place in PLACES for name in names):
        if (root / place).is_dir():
            return place.as_posix()
    where = f"looked for a folder {' or '.join(names)} in it, in {root / PLACES[0]} and in {root / PLACES[1]}"
    raise Missing(f"the data of imagenet_dg are not below {root}: {where}; give --data-root DIR")


def read(seed: int) -> Layout:
    """The training list of a seed, of which a tenth is held out, and the five test lists, all below the data root.

    Raises:
        UserError: a list is missing or has other counts or classes; the message names it.
    """
    root, task = data_root(), TASKS[TASK.name]
    source = find(TESTS["test"].folders)
    path = root / source / TRAIN.format(seed=seed)
    check(path.exists(), f"{root / source}: no {path.relative_to(root / source)}; {PAGE} has those of seeds 0, 1 and 2")
    listed, labels = _listed(path, f"{source}/train/", task.train + task.val), task.labels
    shots = (task.train + task.val) // len(labels)
    counts = Counter(label for _, label in listed)
    odd = [f"class {label} {counts[label]} times" for label in range(len(labels)) if counts[label] != shots]
    check(not odd, f"{path}: lists {some(odd)}, not {shots} times")
    kept, held = hold_out([label for _, label in listed])
    splits = {"train": tuple(listed[i] for i in kept), "val": tuple(listed[i] for i in held)}
    splits |= {name: _tested(name, listed) for name in task.tests}
    return Layout(folder=root, labels=labels, splits=splits)


def _tested(name: str, training: Sequence[Sample]) -> tuple[Sample, ...]:
    """The samples of a test set; where ImageNet's own has no list, those of the folders ``val/CLASS``."""
    images = TESTS[name]
    root, folder = data_root(), find(images.folders)
    path = root / folder / TESTED
    if name == "test" and not path.exists():
        return _of_folders(folder, training)
    check(path.exists(), f"{root / folder}: no {TESTED}; {PAGE} has it")
    samples = _listed(path, f"{folder}/{images.below}", images.total)
    classes = len({label for _, label in samples})
    check(classes == images.classes, f"{path}: lists {classes} classes, but this set has {images.classes}")
    return samples


def _listed(path: Path, below: str, count: int) -> tuple[Sample, ...]:
    samples = layouts.read_list(path)
    image_lists.check_list(path, samples, "ImageNet", count=count, classes=TASKS[TASK.name].classes)
    return tuple((below + image, label) for image, label in samples)


def _of_folders(folder: str, training: Sequence[Sample]) -> tuple[Sample, ...]:
    """ImageNet's validation images, one folder per class with the name that it has in the training list."""
    place, count = Place(data_root()), TESTS["test"].total
    labels = {image.rsplit("/", 2)[1]: label for image, label in training}
    there = place.folders(f"{folder}/val") if (data_root() / folder / "val").is_dir() else []
    wanted = f"{data_root() / folder}: no {TESTED}, and no folder val/CLASS for each of the {len(labels)} classes"
    check(set(there) == set(labels), f"{wanted}; NOAH's repository lacks this list, so write it or sort the images")
    samples = [(path, label) for name, label in labels.items() for path in place.files(f"{folder}/val/{name}", ENDINGS)]
    check(len(samples) == count, f"{data_root() / folder / 'val'}: has {len(samples)} images, not {count}")
    return tuple(samples)


def load(task: str, split: str, *, frame: Frame | None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images and labels of a split or test set, with the training list of a seed; images are mapped from the cache."""
    return decoded.load(read(seed), split, frame)


def files(task: str, split: str, *, seed: int = 0) -> list[str]:
    """The images of a split or test set, below the data root, with the lists of a seed."""
    return read(seed).files(split)


def fingerprint(task: str, *, seed: int = 0) -> str:
    """SHA-256 over the lists and the bytes of the files, with the training list of a seed."""
    return contents.task_fingerprint(read(seed))


def faults(task: str) -> list[str]:
    """What is wrong with the lists of all seeds and with the images, one line per fault.

    Raises:
        Missing: a set has no folder.
    """
    return image_lists.faults(*(partial(read, seed) for seed in SEEDS))


def facts(task: str) -> list[str]:
    """The counts of the test sets, and equal images in two splits or classes, which the published sets may have."""
    layout = read(SEEDS[0])
    sets = ", ".join(f"{name} {len(layout.splits[name])}" for name in TASKS[task].tests)
    return [f"test sets: {sets}", *image_lists.repeated(read(seed) for seed in SEEDS)]


def by_seed(seed: int) -> Suite:
    """The suite with the training list of a seed."""
    return replace(
        SUITE,
        load=partial(load, seed=seed),
        files=partial(files, seed=seed),
        fingerprint=partial(fingerprint, seed=seed),
    )


SUITE = Suite(
    name="imagenet_dg",
    tasks=TASKS,
    recipes={"image": {**STEPS, **FRAME, **AUGMENTATION}},
    backbones={"image": "vit_base_patch16_224.orig_in21k"},
    load=load,
    files=files,
    fingerprint=fingerprint,
    by_seed=by_seed,
    obtain=OBTAIN,
    facts=facts,
    faults=faults,
    published=published.files("imagenet_dg"),
)
