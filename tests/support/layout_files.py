"""Small image tasks in both layouts. Every image is noise around the brightness of its class; no two are equal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

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
