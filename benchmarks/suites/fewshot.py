"""Few-shot fine-grained images: five sets with 1, 2, 4, 8 or 16 samples per class, by the lists of NOAH's repository.

Zhang et al. 2022, arXiv:2206.04673. The task ``aircraft@4`` has four samples per class. Every seed has training lists
of its own, so a run of seed 1 trains on the lists of seed 1.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import published
from benchmarks.files import contents, decoded, layouts
from benchmarks.files.frames import Frame
from benchmarks.files.layouts import Layout
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task, image_lists
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

SHOTS, SEEDS = (1, 2, 4, 8, 16), (0, 1, 2)  # of the published lists
LISTS = {"train": "train_meta.list.num_shot_{shots}.seed_{seed}", "val": "val_meta.list", "test": "test_meta.list"}
PLACES = ("few-shot", "fewshot", ".")
PAGE = "https://github.com/ZhangYuanhan-AI/NOAH"
OBTAIN = (
    f"fewshot cannot be fetched by a command: its lists are in data/few-shot of {PAGE}, and its images on the pages "
    "that `python -m benchmarks.data list` names. Put both below {root}/few-shot: fgvc-aircraft/annotations/*.list*, "
    "fgvc-aircraft/images/ and so on; the images of cars in standford-cars/ itself"
)
# as in NOAH's code, whose color jitter timm leaves out beside RandAugment. The split for validation is not trained on;
# it has up to 20,200 images, so to read it after every epoch would take longer than training
AUGMENTATION = {"rand_augment": 9, "color_jitter": 0.4, "random_erasing": 0.25, "crop_scale": 0.08, "hflip": 0.5}
STEPS = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "drop_path": 0.1, "label_smoothing": 0.1}
FRAME = {"resize": "checkpoint"}
RECIPE: dict[str, object] = {**STEPS, **FRAME, **AUGMENTATION, "train_split": "train", "validate_every": 100}


class Images(NamedTuple):
    """One of the five sets. ``below`` is where the paths of its lists start, within its folder."""

    folders: tuple[str, ...]  # every name that its folder may have
    below: str
    classes: int
    val: int
    test: int
    source: str
    licence: str


SETS = {
    "aircraft": Images(
        *(("fgvc-aircraft", "fgvc_aircraft"), "images/", 100, 3333, 3333),
        *("FGVC-Aircraft, https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft", "research only"),
    ),
    "food": Images(
        *(("food101", "food-101"), "images/", 101, 20200, 30300),
        *("Food-101, https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101", "none stated"),
    ),
    "flowers": Images(
        *(("oxford-flowers102", "oxford_flowers"), "images/", 102, 1633, 2463),
        *("Oxford Flowers 102, https://www.robots.ox.ac.uk/~vgg/data/flowers/102", "none stated"),
    ),
    "pets": Images(
        *(("oxford-pets", "oxford_pets"), "images/", 37, 736, 3669),
        *("Oxford-IIIT Pet, https://www.robots.ox.ac.uk/~vgg/data/pets", "CC BY-SA 4.0"),
    ),
    "cars": Images(
        *(("standford-cars", "stanford_cars"), "", 196, 1635, 8041),
        *("Stanford Cars, Krause et al. 2013", "research only"),
    ),
}


def _task(name: str, shots: int) -> Task:
    images = SETS[name]
    twice = 2 if (name, shots) == ("pets", 1) else 1  # these lists hold every image twice, and so they are trained on
    return Task(
        name=f"{name}@{shots}",
        modality="image",
        labels=tuple(map(str, range(images.classes))),
        group=f"{shots}-shot",
        train=images.classes * shots * twice,
        val=images.val,
        test=images.test,
        source=images.source,
        licence=images.licence,
        shots=shots,
    )


def find(task: str) -> Path:
    """The folder of a task's set, by any of its names, in ``few-shot`` below the data root or in the data root itself.

    Raises:
        Missing: there is no such folder.
    """
    root, names = data_root(), SETS[task.partition("@")[0]].folders
    found = [root / place / name for place in PLACES for name in names if (root / place / name).is_dir()]
    if found:  # another suite may have a folder of this name
        return min(found, key=lambda folder: not (folder / "annotations").exists())
    where = f"looked for a folder {' or '.join(names)} in it and in {root / PLACES[0]}"
    raise Missing(f"the data of fewshot/{task} are not below {root}: {where}; give --data-root DIR")


def read(task: str, seed: int) -> Layout:
    """A task's lists, checked against the table's counts and classes.

    Raises:
        UserError: a list is missing or differs from the table; the message has the folder, the list and the count.
    """
    expected, folder, splits = SUITE.tasks[task], find(task), dict[str, tuple[layouts.Sample, ...]]()
    for split, name in LISTS.items():
        path = folder / "annotations" / name.format(shots=expected.shots, seed=seed)
        seeds = "; NOAH's lists have the seeds 0, 1 and 2" if split == "train" else ""
        check(path.exists(), f"{folder}: no {path.relative_to(folder)}{seeds}; {PAGE} has it")
        samples, count = layouts.read_list(path), getattr(expected, split)
        image_lists.check_list(path, samples, task, count=count, classes=expected.classes)
        splits[split] = tuple((SETS[task.partition("@")[0]].below + image, label) for image, label in samples)
    return Layout(folder=folder, labels=expected.labels, splits=splits)


def load(task: str, split: str, *, frame: Frame | None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images and labels of a split, of the lists of a seed."""
    return decoded.load(read(task, seed), split, frame)


def files(task: str, split: str, *, seed: int = 0) -> list[str]:
    """The images of a split or test set, below the data root, with the lists of a seed."""
    return read(task, seed).files(split)


def fingerprint(task: str, *, seed: int = 0) -> str:
    """SHA-256 over the lists of a seed and the bytes of the files."""
    return contents.task_fingerprint(read(task, seed))


def faults(task: str) -> list[str]:
    """What is wrong with a task's lists of all seeds and their files, one line per fault.

    Raises:
        Missing: the set has no folder.
    """
    return image_lists.faults(*(partial(read, task, seed) for seed in SEEDS))


def facts(task: str) -> list[str]:
    """Equal images in two splits or classes: reported, because papers have trained and tested on them."""
    return image_lists.repeated(read(task, seed) for seed in SEEDS)


def by_seed(seed: int) -> Suite:
    """The suite with the training lists of a seed."""
    return replace(
        SUITE,
        load=partial(load, seed=seed),
        files=partial(files, seed=seed),
        fingerprint=partial(fingerprint, seed=seed),
    )


SUITE = Suite(
    name="fewshot",
    tasks={task.name: task for task in (_task(name, shots) for shots in SHOTS for name in SETS)},
    recipes={"image": RECIPE},
    backbones={"image": "vit_base_patch16_224.orig_in21k"},
    load=load,
    files=files,
    fingerprint=fingerprint,
    by_seed=by_seed,
    obtain=OBTAIN,
    facts=facts,
    faults=faults,
    published=published.files("fewshot_means"),
)
