"""Small tasks in published layouts. No two samples are equal; images are noise around the brightness of their class."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.suites import shapenetpart

DG_COUNTS = {"test": 6, "sketch": 9, "v2": 3, "a": 4, "r": 5}
LISTS = {"train": "train800.txt", "val": "val200.txt", "test": "test.txt"}


def write_image(path: Path, label: int = 0, *, size: tuple[int, int] = (20, 12), seed: int = 0):
    noise = np.random.default_rng([label, seed]).integers(0, 56, (*reversed(size), 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((noise + 40 * (label % 5)).astype(np.uint8)).save(path)


def write_lists(folder: Path, classes: int = 2, counts: Sequence[int] = (8, 4, 12), *, highest: int | None = None):
    """A task in VTAB-1K's layout, with ``counts`` samples per split; the last label of every split is ``highest``."""
    both = []
    for (split, name), count in zip(LISTS.items(), counts, strict=True):
        lines = []
        for i in range(count):
            place, label = "test" if split == "test" else "train", i % classes
            label = highest if highest is not None and i == count - 1 else label
            number = i + (counts[0] if split == "val" else 0)
            write_image(folder / f"images/{place}/{number:06d}.png", label, seed=number + 1000 * (split == "test"))
            lines.append(f"images/{place}/{number:06d}.png {label}\n")
        (folder / name).write_text("".join(lines))
        both += lines if split != "test" else []
    (folder / "train800val200.txt").write_text("".join(both))


def write_image_folder(folder: Path, classes: Sequence[str] = ("cat", "dog"), *, train: int = 10, test: int = 5):
    for split, count in (("train", train), ("test", test)):
        for label, name in enumerate(classes):
            for i in range(count):
                write_image(folder / split / name / f"{i}.png", label, seed=i + 1000 * (split == "test"))


def write_fewshot(
    folder: Path, below: str = "images/", *, classes: int = 3, shots: Sequence[int] = (1, 2), twice: bool = False
):
    """A set of the suite fewshot: lists of three seeds, 2 images per class in val, 3 in test; ``twice`` as in pets."""

    def listing(name: str, split: str, numbers: dict[int, list[int]], repeats: int = 1):
        lines = [
            f"{split}/a b/{label}_{number}.png {label}\n"
            for label in range(classes)
            for number in numbers[label]
            for _ in range(repeats)
        ]
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / name).write_text("".join(lines))

    counts = {"train": 2 * max(shots) + 2, "val": 2, "test": 3}
    for place, (split, count) in enumerate(counts.items()):
        for label in range(classes):
            for number in range(count):
                path = folder / below / split / "a b" / f"{label}_{number}.png"
                write_image(path, label, seed=number + 1000 * place)
        if split != "train":
            listing(f"{split}_meta.list", split, {label: list(range(count)) for label in range(classes)})
    for n in shots:
        for seed in range(3):
            chosen = {label: [(seed + i) % counts["train"] for i in range(n)] for label in range(classes)}
            name = f"train_meta.list.num_shot_{n}.seed_{seed}"
            listing(name, "train", chosen, 2 if twice and n == 1 else 1)


def write_fgvc(
    folder: Path, below: str = "images/", *, counts: Sequence[int] = (4, 2, 3), ids: Sequence[int] = (7, 30)
):
    """A set of the suite fgvc, with ``counts`` images per class in train, val and test, and classes named ``ids``."""
    for place, (split, count) in enumerate(zip(("train", "val", "test"), counts, strict=True)):
        listed = {}
        for number in range(count):
            for label, one in enumerate(ids):
                name = f"{one:03d}.bird/{split}_{number}.png"
                write_image(folder / below / name, label, seed=number + 1000 * place)
                listed[name] = one
        (folder / f"{split}.json").write_text(json.dumps(listed))


def write_parts(root: Path, each: Sequence[int] = (2, 1, 1), points: int = 90):
    """ShapeNetPart's layout with ``each`` shapes of every category per split, cut into parts along x."""
    folder, rng = root / shapenetpart.FOLDER, np.random.default_rng(0)
    (folder / "train_test_split").mkdir(parents=True)
    listing = [f"{name}\t{place}\n" for name, (place, _) in shapenetpart.CATEGORIES.items()]
    (folder / "synsetoffset2category.txt").write_text("".join(listing))
    for split, count in zip(("train", "val", "test"), each, strict=True):
        listed = []
        for (place, parts), first in zip(shapenetpart.CATEGORIES.values(), shapenetpart.KIND.first, strict=True):
            for number in range(count):
                cloud = rng.normal(size=(points, 6))
                part = first + np.digitize(cloud[:, 0], np.linspace(-1, 1, parts + 1)[1:-1])
                path = folder / place / f"{split}{number}.txt"
                path.parent.mkdir(exist_ok=True)
                np.savetxt(path, np.column_stack([cloud, part]), fmt="%.6f")
                listed.append(f"shape_data/{place}/{split}{number}")
        (folder / f"train_test_split/shuffled_{split}_file_list.json").write_text(json.dumps(listed))


def write_imagenet_dg(root: Path, classes: int = 3, shots: int = 4):
    """The layout of imagenet_dg with the sets of DG_COUNTS; A has the even classes, R all but the first."""
    names = [f"n{label:08d}" for label in range(classes)]
    below = {"sketch": "images/", "v2": "matched/", "a": "imagenet-a/", "r": "imagenet-r/"}
    folders = {"sketch": "imagenet-sketch", "v2": "imagenetv2", "a": "imagenet-adversarial", "r": "imagenet-rendition"}

    def listing(path: Path, images: str, split: str, labels: Sequence[int], inside: str = "", seed: int = 0):
        lines = []
        for number, label in enumerate(labels):
            name = f"{inside}{names[label]}/{split} {number}.png"
            write_image(path.parents[1] / images / name, label, seed=number + 1000 * seed)
            lines.append(f"{name} {label}\n")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(lines))

    source = root / "few-shot/imagenet/annotations"
    for seed in range(3):
        labels = [label for label in range(classes) for _ in range(shots)]
        listing(source / f"train_meta.list.num_shot_{shots}.seed_{seed}", "train", f"t{seed}", labels, seed=1 + seed)
    listing(source / "val_meta.list", "val", "val", [i % classes for i in range(DG_COUNTS["test"])], seed=4)
    own = {"a": list(range(0, classes, 2)), "r": list(range(1, classes))}
    for place, name in enumerate(folders):
        some = own.get(name, list(range(classes)))
        labels = [some[i % len(some)] for i in range(DG_COUNTS[name])]
        path = root / "domain-generalization" / folders[name] / "annotations/val_meta.list"
        listing(path, "", name, labels, below[name], seed=5 + place)
