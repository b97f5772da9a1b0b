"""Data sets made into files that load fast and cannot run anything: python -m benchmarks.data convert NAME."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.cli import progress
from benchmarks.files import clouds
from benchmarks.files.clouds import Clouds
from benchmarks.files.modelnet import (
    CONVERTED,
    SPLITS,
    TEXT,
    Advance,
    Split,
    find,
    list_path,
    pickle_path,
    read_pickle,
    read_text,
)
from benchmarks.files.root import data_root
from methods.errors import unknown


def convert(name: str) -> list[Path]:
    """Convert a data set below the data root; returns the files that were written, over older ones.

    Raises:
        ValueError: an unknown name, or no files to convert, or some that are not what they should be.
    """
    if name not in CONVERSIONS:
        raise ValueError(unknown("conversion", name, CONVERSIONS))
    return CONVERSIONS[name]()


def modelnet40() -> list[Path]:
    """Pickled clouds, or text clouds where there are no pickles, to train.h5 and test.h5: the first 1,024 points."""
    written = []
    for split in SPLITS:
        path, size, read = _source(split)
        with progress() as bar:
            task = bar.add_task(f"reading {path.name}", total=size)
            found = read(partial(bar.advance, task))
        written.append(data_root() / CONVERTED / f"{split}.h5")
        clouds.write(written[-1], found)
    return written


def _source(split: Split) -> tuple[Path, int, Callable[[Advance], Clouds]]:
    """What a split is read from, its size in bytes or files, and the reading."""
    folders = list(find(TEXT))
    for folder in folders:
        pickled = pickle_path(folder, split)
        if pickled.is_file():
            return pickled, pickled.stat().st_size, partial(read_pickle, pickled)
    for folder in folders:
        listed = list_path(folder, split)
        if listed.is_file():
            count = len(listed.read_text(encoding="utf-8").split())
            return listed, count, partial(read_text, folder, split)
    raise ValueError(
        f"nothing to convert for split {split}: put {pickle_path(Path(TEXT), split)}, or text clouds and their "
        f"{list_path(Path(TEXT), split)}, below {data_root()}"
    )


CONVERSIONS = {"modelnet40": modelnet40}
