"""Images decoded and resized once, into a cache file that every later run maps into its memory."""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.files import sealed
from benchmarks.files.contents import CACHE, cache_root, each, fingerprint
from benchmarks.files.frames import Frame
from benchmarks.files.layouts import Layout, Sample
from benchmarks.files.pictures import decode, without_warnings
from benchmarks.files.writing import writing
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor


def load(layout: Layout, split: str, frame: Frame | None) -> tuple[Tensor, Tensor]:
    """Images of a split, uint8 (N, 3, size, size), and labels, int64 (N,).

    Every image becomes a square as ``frame`` says. The images are mapped from the cache: they are read when they are
    used, and must not be written to.

    Raises:
        UserError: there is no frame, a file is missing or no image, or the cache cannot be written.
    """
    import numpy as np
    import torch

    check(frame is not None, f"{layout.folder}: images are decoded from files, so a size is needed")
    assert frame is not None
    samples = layout.splits[split]
    path = _file(layout, split, frame)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable", category=UserWarning)
        images = torch.from_numpy(
            np.memmap(path, dtype=np.uint8, mode="r", shape=(len(samples), 3, frame.size, frame.size))
        )
    return images, torch.tensor([label for _, label in samples])


def _file(layout: Layout, split: str, frame: Frame) -> Path:
    """The file with the pixels of a split. If there is none, one of the processes that want it makes it."""
    samples = layout.splits[split]
    key = hashlib.sha256(f"{fingerprint(layout.folder, samples)} {frame} upright on white sealed".encode()).hexdigest()
    name = f"{layout.folder.name}-{split}-{frame.size}-{key[:16]}"
    path = cache_root() / "images" / f"{name}.u8"
    if not sealed.is_whole(path):
        with writing(path, f"name a cache folder in ${CACHE}"), sealed.alone(path):
            if not sealed.is_whole(path):
                _write(path, layout.folder, samples, frame)
    return path


def _write(path: Path, folder: Path, samples: Sequence[Sample], frame: Frame) -> None:
    free, total = shutil.disk_usage(path.parent).free, len(samples) * 3 * frame.size**2
    check(
        total < free,
        f"{path.name} needs {total / 1e9:.1f} GB and {path.parent} has {free / 1e9:.1f} GB free. Free some space and "
        f"run the command again, or name a cache folder in ${CACHE}.",
    )
    paths = [folder / name for name, _ in samples]
    with without_warnings():
        sealed.write(path, each(partial(decode, frame=frame), paths, f"decode {path.stem.rpartition('-')[0]}"))
