"""FGVC: the five fine-grained sets of VPT (Jia et al. 2022, arXiv:2203.12119), in the layout of its JSON files.

A set is a folder with train.json, val.json and test.json. Each maps paths of images to class ids, which are numbered in
their sorted order. VPT drew val from train by itself and published the files; the links to them are dead.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import published
from benchmarks.files import contents, decoded, layouts
from benchmarks.files.frames import Frame
from benchmarks.files.layouts import Layout
from benchmarks.files.root import Missing, data_root
from benchmarks.files.writing import read_text
from benchmarks.suites import Suite, Task, image_lists
from methods.errors import UserError, check

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "val", "test")
PLACES = ("fgvc", "FGVC", ".")
PAGE = "https://github.com/KMnP/vpt"
OBTAIN = (
    "fgvc cannot be fetched by a command: its images are on the pages that `python -m benchmarks.data list` names, and "
    f"the links of {PAGE} to its train.json, val.json and test.json are dead; its issues and the repositories of later "
    "methods name copies. Put a set below {root}/fgvc, as in fgvc/CUB_200_2011/train.json and "
    "fgvc/CUB_200_2011/images/; other cuts into train and val than VPT's give other numbers"
)
STEPS = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10}
RECIPE: dict[str, object] = {**STEPS, "drop_path": 0.1, "hflip": 0.5, "resize": "checkpoint"}


class Images(NamedTuple):
    """One of the five sets. ``below`` is where the paths of its JSON files start, within its folder.

    The counts are those of VPT's table. If ``fixed``, every copy has them; other sets have what their JSON files list.
    """

    folders: tuple[str, ...]  # every name that its folder may have
    below: str
    classes: int
    counts: tuple[int, int, int]
    source: str
    licence: str
    fixed: bool = False


SETS = {
    "cub": Images(
        *(("CUB_200_2011", "CUB-200-2011", "cub"), "images/", 200, (5394, 600, 5794)),
        *("CUB-200-2011, https://www.vision.caltech.edu/datasets/cub_200_2011", "research only", True),
    ),
    "nabirds": Images(
        *(("nabirds", "NABirds"), "images/", 555, (21536, 2393, 24633)),
        *("NABirds, https://dl.allaboutbirds.org/nabirds", "terms of use"),
    ),
    "flowers": Images(
        *(("OxfordFlower", "oxford_flowers", "flowers"), "", 102, (1020, 1020, 6149)),
        *("Oxford Flowers 102, https://www.robots.ox.ac.uk/~vgg/data/flowers/102", "none stated"),
    ),
    "dogs": Images(
        *(("Stanford-dogs", "stanford_dogs", "dogs"), "Images/", 120, (10800, 1200, 8580)),
        *("Stanford Dogs, http://vision.stanford.edu/aditya86/ImageNetDogs", "none stated"),
    ),
    "cars": Images(
        *(("Stanford-cars", "stanford_cars", "cars"), "", 196, (7329, 815, 8041)),
        *("Stanford Cars, Krause et al. 2013", "research only"),
    ),
}


def _task(name: str, images: Images) -> Task:
    train, val, test = images.counts
    labels = tuple(map(str, range(images.classes)))
    about: dict[str, Any] = {"source": images.source, "licence": images.licence}
    return Task(name=name, modality="image", labels=labels, group="all", train=train, val=val, test=test, **about)


def find(task: str) -> Path:
    """The folder of a set, by any of its names, in ``fgvc`` below the data root or in the data root itself.

    Raises:
        Missing: there is no such folder.
    """
    root, names = data_root(), SETS[task].folders
    found = [root / place / name for place in PLACES for name in names if (root / place / name).is_dir()]
    if found:  # another suite may have a folder of this name
        return min(found, key=lambda folder: not (folder / "train.json").exists())
    where = f"looked for a folder {' or '.join(names)} in it and in {root / PLACES[0]}"
    raise Missing(f"the data of fgvc/{task} are not below {root}: {where}; give --data-root DIR")


def read(task: str) -> Layout:
    """A set's three JSON files, checked against its number of classes.

    Raises:
        UserError: a file is missing, has something else than paths and ids, or not the classes or counts of the set.
    """
    expected, images, folder = SUITE.tasks[task], SETS[task], find(task)
    listed = {split: read_json(folder / f"{split}.json") for split in SPLITS}
    found_ids = {one for split in listed.values() for one in split.values()}
    check(len(set(map(type, found_ids))) == 1, f"{folder}: some class ids are numbers and others are texts")
    ids: list[Any] = sorted(found_ids)
    numbers = {one: i for i, one in enumerate(ids)}
    for split, found in listed.items():
        path, count, classes = folder / f"{split}.json", getattr(expected, split), len(set(found.values()))
        same = not images.fixed or len(found) == count
        check(same, f"{path}: lists {len(found)} images, but {task} has {count}")
        few = f"{path}: lists {classes} classes, but {task} has {expected.classes}"
        check(classes <= expected.classes and (split == "val" or classes == expected.classes), few)
    odd = f"{folder}: its files list {len(ids)} different class ids together, but {task} has {expected.classes} classes"
    check(len(ids) == expected.classes, odd)
    splits = {
        split: tuple((images.below + path, numbers[one]) for path, one in found.items())
        for split, found in listed.items()
    }
    return Layout(folder=folder, labels=expected.labels, splits=splits)


def read_json(path: Path) -> dict[str, int | str]:
    """The paths of images and the class ids of one file.

    Raises:
        UserError: the file cannot be read, or is not such a mapping.
    """
    check(path.exists(), f"{path.parent}: no {path.name}; a set has {', '.join(f'{split}.json' for split in SPLITS)}")
    text = read_text(path)
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: no JSON: {error}") from None
    check(isinstance(pairs, _Pairs), f"{path}: must map paths of images to class ids, as in {{'a.jpg': 1}}")
    found = dict[str, int | str]()
    for name, one in pairs:
        fine = isinstance(one, (int, str)) and not isinstance(one, bool)
        check(fine, f"{path}: '{name}' has class id {str(one)[:40]!r}, which is neither a whole number nor a text")
        check(name not in found, f"{path}: '{name}' is there twice")
        check(layouts.is_below(name), f"{path}: path '{name}' leaves the folder; give one below it")
        found[name] = one
    check(bool(found), f"{path}: lists no image")
    return found


class _Pairs(list[tuple[str, Any]]):
    """What a JSON object holds, with names that come twice."""


def load(task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
    """Images and labels of a split."""
    return decoded.load(read(task), split, frame)


def files(task: str, split: str) -> list[str]:
    """The images of a split, below the data root."""
    return read(task).files(split)


def fingerprint(task: str) -> str:
    """SHA-256 over the lists and the bytes of the files."""
    return contents.task_fingerprint(read(task))


def faults(task: str) -> list[str]:
    """What is wrong with a set's JSON files and images, one line per fault.

    Raises:
        Missing: the set has no folder.
    """
    return image_lists.faults(partial(read, task))


def facts(task: str) -> list[str]:
    """The counts of this copy, and equal images in two splits or classes: papers have trained and tested on them."""
    layout = read(task)
    counts = " + ".join(str(len(layout.splits[split])) for split in SPLITS)
    return [f"this copy has {counts} samples", *image_lists.repeated([layout])]


SUITE = Suite(
    name="fgvc",
    tasks={name: _task(name, images) for name, images in SETS.items()},
    recipes={"image": RECIPE},
    backbones={"image": "vit_base_patch16_224.orig_in21k"},
    load=load,
    files=files,
    fingerprint=fingerprint,
    obtain=OBTAIN,
    facts=facts,
    faults=faults,
    published=published.files("fgvc"),
)
