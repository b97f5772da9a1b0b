"""Splits a folder of classes into images to train on and images to test on. The files are copied; none is moved."""

import os
import shutil
from pathlib import Path

import numpy as np

from benchmarks.files.classes import check_several, some
from benchmarks.files.layouts import ENDINGS, UNREAD
from benchmarks.files.places import Place, check_name
from benchmarks.files.sharing import make_folder, share
from benchmarks.files.writing import writing
from methods.errors import check

SPLITS = ("train", "test")


def split(folder: Path, out: Path, *, test: float, seed: int) -> dict[str, int]:
    """Copy ``folder/CLASS/*`` to ``out/train/CLASS`` and ``out/test/CLASS``. Returns the images of each split.

    Every class gives its share to ``test``, rounded, but at least one image, and keeps at least one. Which images these
    are depends on the seed and on their names. ``out`` is made when all files are copied, and never written over.

    Raises:
        UserError: a share or seed that is not allowed, ``out`` exists or lies in ``folder``, or ``folder`` has less
            than two classes, or a class of less than two images.
    """
    check(0 < test < 1, f"--test {test} must be above 0 and below 1")
    check(0 <= seed < 2**31, f"--seed {seed} must be from 0 to {2**31 - 1}")
    check(not os.path.lexists(out), f"{out} exists already; give another folder with -o")
    inside = Path(os.path.realpath(out)).is_relative_to(os.path.realpath(folder))
    check(not inside, f"{out} lies in {folder}, where it would be a class; give another folder with -o")
    classes = _classes(folder)
    places = {path: f"{part}/{path}" for paths in classes.values() for path, part in _drawn(paths, test, seed)}
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    with writing(out):
        try:
            for path, place in places.items():
                make_folder((partial / place).parent)
                shutil.copy2(folder / path, partial / place)
                share(partial / place)
            partial.rename(out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return {part: sum(place.startswith(f"{part}/") for place in places.values()) for part in SPLITS}


def _classes(folder: Path) -> dict[str, list[str]]:
    """The images of every class, as paths below the folder."""
    check(folder.is_dir(), f"there is no folder {folder}; give one with a folder per class")
    check_name(folder)
    place = Place(folder)
    names = place.folders(".")
    taken = [part for part in SPLITS if part in names]
    check(not taken, f"{folder} has a folder {taken[0] if taken else ''} and is split already")
    check_several(folder, names)
    found = {name: place.files(name, ENDINGS, UNREAD) for name in names}
    few = [name for name, paths in found.items() if len(paths) < 2]
    check(not few, f"{folder}: class {some(few)} has less than two images; add some, to train on and to test on")
    return found


def _drawn(paths: list[str], test: float, seed: int) -> list[tuple[str, str]]:
    """Every path of a class with its split."""
    count = min(max(1, round(test * len(paths))), len(paths) - 1)
    # numpy promises the same floats in every release, but not the same permutations
    order = np.argsort(np.random.default_rng(seed).random(len(paths)), kind="stable")
    held = {paths[i] for i in order[:count]}
    return [(path, "test" if path in held else "train") for path in paths]
