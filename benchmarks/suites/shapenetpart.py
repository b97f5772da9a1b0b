"""ShapeNetPart (Yi et al. 2016): parts of shapes of 16 categories, in the layout that PointNet++'s authors share.

Shapes: P points of a shape in its file, of which a model sees 2,048.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save

from benchmarks import published
from benchmarks.files import contents, verify
from benchmarks.files.classes import some
from benchmarks.files.coordinates import in_unit_sphere
from benchmarks.files.frames import Frame
from benchmarks.files.layouts import Layout, Sample
from benchmarks.files.places import Place
from benchmarks.files.root import Missing, data_root
from benchmarks.files.writing import read_text, write_atomic, writing
from benchmarks.suites import Suite, Task
from benchmarks.suites.kinds import Segmentation
from methods.errors import UserError, check

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 2048
NAME, FOLDER = "shapenetpart", "shapenetcore_partanno_segmentation_benchmark_v0_normal"
PAGE = "https://cs.stanford.edu/~ericyi/project_page/part_annotation/"
LISTING, SPLITS = "synsetoffset2category.txt", "train_test_split/shuffled_{}_file_list.json"
CATEGORIES = {  # the folder and the number of parts of every category, in the order of the numbers of its parts
    **{"Airplane": ("02691156", 4), "Bag": ("02773838", 2), "Cap": ("02954340", 2), "Car": ("02958343", 4)},
    **{"Chair": ("03001627", 4), "Earphone": ("03261776", 3), "Guitar": ("03467517", 3), "Knife": ("03624134", 2)},
    **{"Lamp": ("03636649", 4), "Laptop": ("03642806", 2), "Motorbike": ("03790512", 6), "Mug": ("03797390", 2)},
    **{"Pistol": ("03948459", 3), "Rocket": ("04099429", 3), "Skateboard": ("04225987", 3), "Table": ("04379243", 3)},
}
FOLDERS = tuple(folder for folder, _ in CATEGORIES.values())
KIND = Segmentation(tuple(parts for _, parts in CATEGORIES.values()))
OBTAIN = (
    f"{NAME} cannot be fetched by a command: {PAGE} describes it, and the copy with normals, {FOLDER}.zip of "
    "PointNet++'s authors, is under ShapeNet's terms. Unpack it below {root}"
)
AGAIN = "get the files again"
TASK = Task(
    name=NAME,
    modality="points",
    labels=tuple(f"{name} {part}" for name, (_, parts) in CATEGORIES.items() for part in range(parts)),
    group="parts",
    train=12_137,
    val=1_870,
    test=2_874,
    source=f"ShapeNetPart, {PAGE}",
    licence="ShapeNet's terms",
    points=POINTS,
    kind=KIND,
)
TASKS = {NAME: TASK}
# of Point-MAE's part segmentation (segmentation/main.py at 4561aac)
RECIPE = {
    **{"epochs": 300, "batch_size": 16, "warmup_epochs": 10, "clip_grad": 10.0, "drop_path": 0.1},
    "augment": "scale_shift",
}


def find() -> Path:
    """The folder of the data set: in the data root, or the data root itself.

    Raises:
        Missing: there is none.
    """
    places = [place for place in (data_root() / FOLDER, data_root()) if (place / LISTING).is_file()]
    if not places:
        raise Missing(f"the data of {NAME} are missing: put the folder {FOLDER} of {PAGE} below {data_root()}")
    return places[0]


def read() -> Layout:
    """The files of every split, with the number of their category.

    Raises:
        UserError: the categories are not those of ShapeNetPart, or a list is missing, damaged or too short.
    """
    folder = find()
    found = tuple(tuple(line.split()) for line in read_text(folder / LISTING).splitlines() if line.strip())
    known = tuple((name, place) for name, (place, _) in CATEGORIES.items())
    check(found == known, f"{folder / LISTING} does not list the 16 categories of ShapeNetPart in their order; {AGAIN}")
    splits = {split: _listed(folder / SPLITS.format(split)) for split in ("train", "val", "test")}
    for split, samples in splits.items():
        path, expected = folder / SPLITS.format(split), getattr(TASKS[NAME], split)
        check(len(samples) == expected, f"{path}: lists {len(samples)} shapes, but {NAME} has {expected}; {AGAIN}")
    return Layout(folder=folder, labels=tuple(CATEGORIES), splits=splits)


def _listed(path: Path) -> tuple[Sample, ...]:
    """The samples of one list, ordered by path."""
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"cannot read {path} as JSON: {' '.join(str(error).split())[:200]}; {AGAIN}") from None
    check(isinstance(values, list), f"{path}: holds no list of shapes; {AGAIN}")
    samples = tuple(sorted(_sample(path, value) for value in values))
    twice = [name for (name, _), count in Counter(samples).items() if count > 1]
    check(not twice, f"{path}: lists a shape twice: {some(twice)}")
    return samples


def _sample(path: Path, value: object) -> Sample:
    parts = value.split("/") if isinstance(value, str) else []
    fits = len(parts) == 3 and parts[1] in FOLDERS and parts[2] and parts[2].strip(".") and "\0" not in parts[2]
    check(bool(fits), f"{path}: '{str(value)[:80]}' is not shape_data/FOLDER/SHAPE with the folder of a category")
    return f"{parts[1]}/{parts[2]}.txt", FOLDERS.index(parts[1])


def shape(path: Path, category: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Points (2048, 4) in the unit sphere, each with the category, and their parts (2048,).

    The points are a fixed draw from the file. If it has fewer, all of them are there, and some twice or more.

    Raises:
        UserError: the file cannot be read or holds something else; the message names it.
    """
    text = read_text(path)
    check(bool(text.strip()), f"{path}: holds no point; {AGAIN}")
    try:
        values = np.loadtxt(text.splitlines(), dtype=np.float64, comments=None, ndmin=2)
    except ValueError as error:
        raise UserError(f"cannot read shape {path}: {' '.join(str(error).split())[:200]}") from None
    check(values.shape[1] == 7, f"{path}: has {values.shape[1]} numbers per point, not x y z nx ny nz part")
    check(bool(np.isfinite(values).all()), f"{path}: has values that are not finite; {AGAIN}")
    first, name = KIND.first[category], tuple(CATEGORIES)[category]
    own = np.arange(first, first + KIND.parts[category])
    foreign = values[~np.isin(values[:, 6], own), 6]
    check(not foreign.size, f"{path}: has part {foreign[:1].sum():g}, but {name} has {own[0]} to {own[-1]}")
    points = in_unit_sphere(path, values[None, :, :3])[0]
    # numpy promises the same floats in every release, but not the same permutations
    index = np.resize(np.random.default_rng(0).random(len(points)).argsort(kind="stable"), POINTS)
    named = np.full((POINTS, 1), category, np.float32)
    return np.concatenate([points[index], named], axis=1), values[index, 6].astype(np.uint8)


def load(task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
    """Points (N, 2048, 4), the last number of each the category, and parts (N, 2048); points have no ``frame``.

    The shapes of a split are read once, into a cache file that later runs map into their memory.
    """
    layout = read()
    samples = layout.splits[split]
    key = contents.fingerprint(layout.folder, samples)[:16]
    path = contents.cache_root() / "parts" / f"{NAME}-{split}-{POINTS}-{key}.safetensors"
    with writing(path, f"name a cache folder in ${contents.CACHE}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # the system releases it when its holder dies
            tensors = _cached(path) or _made(path, layout.folder, samples)
    return tensors["x"], tensors["y"].long()


def _cached(path: Path) -> dict[str, Tensor] | None:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError):  # there is no such file, or it is damaged
        return None


def _made(path: Path, folder: Path, samples: tuple[Sample, ...]) -> dict[str, Tensor]:
    import torch

    read = contents.each(lambda sample: shape(folder / sample[0], sample[1]), samples, f"read {path.name}")
    x, y = (np.stack(part) for part in zip(*read, strict=True))
    write_atomic(path, save({"x": x, "y": y}))
    return {"x": torch.from_numpy(x), "y": torch.from_numpy(y)}


def fingerprint(task: str) -> str:
    """SHA-256 over the lists and the bytes of the files."""
    return contents.task_fingerprint(read())


def faults(task: str) -> list[str]:
    """What is wrong with the lists and the files, one line per fault.

    Raises:
        Missing: there is no folder of the data set.
    """
    try:
        layout = read()
        contents.check_apart(layout.folder, layout.splits)
    except Missing:
        raise
    except UserError as error:
        return [str(error)]
    samples = [sample for part in layout.splits.values() for sample in part]
    looked = contents.each(lambda sample: _fault(layout.folder, sample), samples, f"verify {NAME}")
    broken = [line for line in looked if line]
    lines = [f"{len(broken)} of {len(samples)} shapes cannot be used: {some(broken)}"] if broken else []
    for split, part in layout.splits.items():
        without = [name for number, name in enumerate(layout.labels) if number not in {label for _, label in part}]
        lines += [f"{split}: no shape of category {some(without)}"] if without else []
    return [f"{NAME}: {line}" for line in lines]


def _fault(folder: Path, sample: Sample) -> str:
    try:
        Place(folder).state(sample[0])
        shape(folder / sample[0], sample[1])
    except UserError as error:
        return str(error)
    return ""


def facts(task: str) -> list[str]:
    """Equal files in two splits, which a person should know of."""
    return verify.repeated_files(read())


SUITE = Suite(
    name=NAME,
    tasks=TASKS,
    recipes={"points": RECIPE},
    backbones={"points": "point_mae"},
    unit_sphere=True,
    obtain=OBTAIN,
    load=load,
    fingerprint=fingerprint,
    faults=faults,
    facts=facts,
    published=published.files(NAME),
)
