"""Images decoded and resized once, into a cache file that every later run maps into its memory."""

from __future__ import annotations

import hashlib
import os
import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files.contents import CACHE, cache_root, each, fingerprint
from benchmarks.files.layouts import Layout, Sample
from benchmarks.files.pictures import decode, without_warnings
from benchmarks.files.writing import writing
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor


def load(layout: Layout, split: str, size: int | None) -> tuple[Tensor, Tensor]:
    """Images of a split, uint8 (N, 3, size, size), and labels, int64 (N,).

    Both sides become ``size`` pixels long, whatever the image's shape. The images are mapped from the cache: they are
    read when they are used, and must not be written to.

    Raises:
        UserError: there is no size, a file is missing or no image, or the cache cannot be written.
    """
    import numpy as np
    import torch

    check(size is not None, f"{layout.folder}: images are decoded from files, so a size is needed")
    assert size is not None
    samples = layout.splits[split]
    path = _file(layout, split, size)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        images = torch.from_numpy(np.memmap(path, dtype=np.uint8, mode="r", shape=(len(samples), 3, size, size)))
    return images, torch.tensor([label for _, label in samples])


def _file(layout: Layout, split: str, size: int) -> Path:
    """The file with the pixels of a split. If there is none, one of the processes that want it makes it."""
    from filelock import FileLock

    samples = layout.splits[split]
    key = hashlib.sha256(f"{fingerprint(layout.folder, samples)} {size} bicubic upright on white".encode()).hexdigest()
    name = f"{layout.folder.name}-{split}-{size}-{key[:16]}"
    path, total = cache_root() / "images" / f"{name}.u8", len(samples) * 3 * size * size
    if not _whole(path, total):
        with writing(path, f"name a cache folder in ${CACHE}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # the system releases it when its holder dies
                if not _whole(path, total):
                    _write(path, layout.folder, samples, size)
    return path


def _whole(path: Path, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _write(path: Path, folder: Path, samples: Sequence[Sample], size: int) -> None:
    """Write under another name, flush to the disk, rename, so that a file of the final name is whole."""
    free, total = shutil.disk_usage(path.parent).free, len(samples) * 3 * size * size
    check(
        total < free,
        f"{path.name} needs {total / 1e9:.1f} GB and {path.parent} has {free / 1e9:.1f} GB free. Free some space and "
        f"run the command again, or name a cache folder in ${CACHE}.",
    )
    unfinished = path.with_suffix(".partial")  # always the same name, so that files of killed processes do not pile up
    paths = [folder / name for name, _ in samples]
    try:
        with unfinished.open("wb") as file, without_warnings():
            for pixels in each(partial(decode, size=size), paths, f"decode {path.stem.rpartition('-')[0]}"):
                file.write(pixels)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
