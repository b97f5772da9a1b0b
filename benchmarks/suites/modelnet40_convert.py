"""ModelNet40 made into HDF5 files that load fast and cannot run code: python -m benchmarks.data convert modelnet40."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.cli import progress
from benchmarks.files import clouds
from benchmarks.files.clouds import Clouds
from benchmarks.files.reading import read_text as text_of
from benchmarks.files.root import data_root
from benchmarks.suites.modelnet40_files import (
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
from methods.errors import UserError


def convert() -> list[Path]:
    """Write the first 1,024 points of all clouds to train.h5 and test.h5, from pickles or else from text clouds.

    Returns the paths that were written; older files there are replaced.

    Raises:
        UserError: there are no files to convert, they hold something else, or the results cannot be written.
    """
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
    """The file that a split is read from, its length in bytes or in clouds, and the function that reads it."""
    folders = list(find(TEXT))
    for folder in folders:
        pickled = pickle_path(folder, split)
        if pickled.is_file():
            return pickled, pickled.stat().st_size, partial(read_pickle, pickled)
    for folder in folders:
        listed = list_path(folder, split)
        if listed.is_file():
            return listed, len(text_of(listed).split()), partial(read_text, folder, split)
    raise UserError(
        f"nothing to convert for split {split}: put {pickle_path(Path(TEXT), split)}, or text clouds and their "
        f"{list_path(Path(TEXT), split)}, below {data_root()}"
    )
