"""The contents of many files: work on them in threads, their fingerprint, and the folder that caches it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import progress
from benchmarks.files import sealed
from benchmarks.files.layouts import Layout, Sample
from benchmarks.files.places import Place
from benchmarks.files.writing import writing
from methods.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

CACHE = "PEFT_BENCH_CACHE"
AHEAD = 256  # results that may wait in memory


def cache_root() -> Path:
    """The folder for everything that can be made again: $PEFT_BENCH_CACHE, else below the user's cache folder.

    Raises:
        UserError: nothing names a folder, and the user has no home.
    """
    if given := os.environ.get(CACHE):
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peft-vision-bench"
    except RuntimeError:
        raise UserError(f"this user has no home folder for a cache; name a folder in ${CACHE}") from None


def each(function: Callable[[T], R], items: Sequence[T], doing: str) -> Iterator[R]:
    """The results of ``function`` for every item, in order, computed by one thread per core.

    Threads are enough because reading, hashing, decoding and resizing release Python's lock. Processes, which have to
    start and to send every image, took 1.0 to 1.5 times as long to decode photographs and 32-pixel images on two cores.
    """
    with progress() as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        task = bar.add_task(doing, total=len(items))
        for start in range(0, len(items), AHEAD):
            for result in pool.map(function, items[start : start + AHEAD]):
                yield result
                bar.advance(task)


def task_fingerprint(layout: Layout) -> str:
    """SHA-256 over the fingerprints of the splits; it does not depend on the folder's place and name.

    Raises:
        UserError: as ``check_apart`` and ``fingerprint`` do.
    """
    check_apart(layout.folder, layout.splits)
    prints = (f"{split} {fingerprint(layout.folder, samples)}\n" for split, samples in layout.splits.items())
    return hashlib.sha256("".join(prints).encode()).hexdigest()


def check_apart(folder: Path, splits: Mapping[str, Sequence[Sample]]) -> None:
    """Refuse files that are in two splits or have two labels, under whatever names and links.

    Raises:
        UserError: such a file, or one that ``Place.state`` refuses.
    """
    place, known = Place(folder), dict[tuple[int, int], tuple[str, int, str]]()
    for split, samples in splits.items():
        for path, label in samples:
            state = place.state(path)
            was = known.setdefault((state.st_dev, state.st_ino), (split, label, path))
            if was[:2] != (split, label):
                both = " and ".join(f"{one} (label {y} in {name})" for name, y, one in (was, (split, label, path)))
                raise UserError(f"{folder}: {both} are the same file; leave one out")


def fingerprint(folder: Path, samples: Sequence[Sample]) -> str:
    """SHA-256 over every sample's path, label and file. Files are read again only if a size or a time has changed.

    Raises:
        UserError: a file is not there, or no plain file inside the data root, or the cache cannot be written.
    """
    known = cache_root() / "fingerprints" / _stamp(folder, samples)
    if found := sealed.read(known):
        return found.decode()
    digest = hashlib.sha256()
    digests = each(partial(file_sha256, folder), samples, f"read {folder.name}")
    for (path, label), content in zip(samples, digests, strict=True):
        digest.update(f"{path} {label} {content}\n".encode())
    with writing(known, f"name a cache folder in ${CACHE}"), sealed.alone(known):
        sealed.write(known, [digest.hexdigest().encode()])
    return digest.hexdigest()


def digest(splits: Mapping[str, tuple[NDArray[Any], NDArray[np.int64]]]) -> str:
    """SHA-256 over the inputs and labels of all splits of a task whose samples are arrays."""
    sha256 = hashlib.sha256()
    for split, (x, y) in sorted(splits.items()):
        sha256.update(f"{split} {x.dtype} {x.shape}".encode() + x.tobytes() + y.tobytes())
    return sha256.hexdigest()


def _stamp(folder: Path, samples: Sequence[Sample]) -> str:
    """A digest of sizes and times, which tells without reading the files whether they have changed."""
    digest = hashlib.sha256(f"sealed {folder.resolve()}\n".encode())
    place = Place(folder)
    for path, label in samples:
        state = place.state(path)
        digest.update(f"{path} {label} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def file_sha256(folder: Path, sample: Sample) -> str:
    """SHA-256 of the file of a sample.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with (folder / sample[0]).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {folder / sample[0]}: {error.strerror}") from None
