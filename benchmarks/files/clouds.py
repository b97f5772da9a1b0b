"""Point clouds in HDF5 files: read and checked, divided into splits, put into the unit sphere.

Shapes: N clouds, P points. Clouds are a pair of points float32 (N, P, 3) and labels int64 (N,).
"""

import io
import re
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.files.holdout import hold_out
from benchmarks.files.writing import read_text, write_atomic
from methods.errors import UserError, check

Clouds = tuple[NDArray[np.float32], NDArray[np.int64]]
NAMES = "shape_names.txt"


def read(folder: Path, split: Literal["train", "test"]) -> Clouds:
    """All clouds of ``ply_data_{split}*.h5`` in a folder, in the natural order of the files' numbers.

    Raises:
        UserError: there is no such file, or one is damaged, or holds something else, or clouds of another number of
            points than the first; the message names it.
    """
    known = len(names(folder)) if (folder / NAMES).is_file() else None
    paths = _files(folder, split)
    points, labels = zip(*(read_file(path, known) for path in paths), strict=True)
    size = points[0].shape[1]
    for path, found in zip(paths, points, strict=True):
        check(found.shape[1] == size, f"{path} has clouds of {found.shape[1]} points, {paths[0]} of {size}")
    return np.concatenate(points), np.concatenate(labels)


def names(folder: Path) -> tuple[str, ...]:
    """The classes that ``shape_names.txt`` of a folder lists; without that file, the numbers of the labels."""
    path = folder / NAMES
    if path.is_file():
        return tuple(read_text(path).split())
    labels = [read_file(file, None)[1] for file in _files(folder, "train")]
    return tuple(str(number) for number in range(int(np.concatenate(labels).max()) + 1))


def read_file(path: Path, classes: int | None) -> Clouds:
    """The clouds of one HDF5 file: data (N, P, 3), label (N,) or (N, 1), below ``classes`` if that is given.

    Raises:
        UserError: there is no such file, or it is damaged, lacks a dataset, has another shape, a NaN or other labels.
    """
    try:
        with h5py.File(path) as file:
            missing = {"data", "label"} - set(file)
            check(not missing, f"{path} has no dataset {' or '.join(sorted(missing))}; it has: {', '.join(file)}")
            points, labels = np.asarray(file["data"]), np.asarray(file["label"])
    except (OSError, KeyError, RuntimeError) as error:  # the last two from links to nothing and damaged parts
        reason = "no such file" if not path.exists() else " ".join(str(error).split())[:200]
        raise UserError(f"cannot read {path} as HDF5: {reason}; get the file again") from None
    return checked(path, points, labels, classes)


def checked(path: Path, points: NDArray[Any], labels: NDArray[Any], classes: int | None) -> Clouds:
    """Points as float32 and labels as int64.

    Raises:
        UserError: shapes, values or labels are not those of clouds; the message names ``path``.
    """
    check(points.ndim == 3 and points.shape[2] == 3, f"{path}: data has the shape {points.shape}, not (N, P, 3)")
    fits = labels.shape in ((len(points),), (len(points), 1))
    check(fits, f"{path}: label has the shape {labels.shape}, not ({len(points)},) as data has {len(points)} clouds")
    numeric = points.dtype.kind in "iuf" and labels.dtype.kind in "iuf"
    check(numeric, f"{path}: data and label hold {points.dtype} and {labels.dtype}; both must hold numbers")
    check(len(points) > 0, f"{path} holds no cloud")
    bad = ~np.isfinite(points).all(axis=(1, 2))
    check(not bad.any(), f"{path}: cloud {int(bad.argmax())} has values that are not finite")
    numbers = labels.reshape(-1).astype(np.int64)
    low, high = int(numbers.min()), int(numbers.max())
    top = high if classes is None else classes - 1
    check(low >= 0 and high <= top, f"{path}: labels go from {low} to {high}, not from 0 to {top}")
    return points.astype(np.float32, copy=False), numbers


def write(path: Path, clouds: Clouds) -> None:
    """Write one HDF5 file that ``read_file`` reads.

    Raises:
        WriteError: the file cannot be written.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["data"], file["label"] = clouds
    write_atomic(path, content.getvalue())


def unit_sphere(path: Path, clouds: Clouds, points: int) -> Clouds:
    """The first ``points`` of every cloud, centred and scaled so that the farthest point lies on the unit sphere.

    Raises:
        UserError: the clouds have fewer points, or one has all its points in one place; the message names ``path``.
    """
    x, labels = clouds
    check(x.shape[1] >= points, f"{path} has clouds of {x.shape[1]} points; {points} are needed")
    x = x[:, :points] - x[:, :points].mean(axis=1, keepdims=True)
    radius = np.sqrt(np.square(x).sum(axis=2).max(axis=1))
    check(bool((radius > 0).all()), f"{path}: cloud {int(radius.argmin())} has all its points in one place")
    return x / radius[:, None, None], labels


def divided(train: Clouds, test: Clouds) -> dict[str, Clouds]:
    """The three splits of a data set that has none for validation: a fixed tenth of train is held out."""
    points, labels = train
    parts = zip(("train", "val"), hold_out(labels), strict=True)
    return {name: (points[index], labels[index]) for name, index in parts} | {"test": test}


def _files(folder: Path, split: str) -> list[Path]:
    """The files of a split; the parts of names that are no digits alternate with numbers, which sort 2 before 10."""
    found = folder.glob(f"ply_data_{split}*.h5")
    paths = sorted(found, key=lambda path: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", path.name)])
    check(bool(paths), f"{folder} has no file ply_data_{split}*.h5")
    return paths
