"""Point clouds in HDF5 files: read and checked, divided into splits.

Shapes: N clouds, P points. Clouds are a pair of points float32 (N, P, 3) and labels int64 (N,).
"""

import io
import re
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from benchmarks.files.classes import MOST_CLASSES, named, some
from benchmarks.files.contents import digest
from benchmarks.files.coordinates import Cast, single
from benchmarks.files.holdout import hold_out
from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from methods.errors import UserError, check

Clouds = tuple[NDArray[np.float32], NDArray[np.int64]]
NAMES = "shape_names.txt"
DIGEST = "sha256"  # the attribute of files that ``write`` wrote
MOST_PACKED = 2000  # times that compression may make a dataset above a gigabyte smaller; zlib reaches 1,030


def read(folder: Path, split: Literal["train", "test"], *, cast: Cast = single) -> Clouds:
    """All clouds of ``ply_data_{split}*.h5`` in a folder, in the natural order of the files' numbers.

    ``cast`` makes float32 of the points that a file holds: ``single``, or ``in_unit_sphere``.

    Raises:
        UserError: there is no such file, or one is damaged, or holds something else, or clouds of another number of
            points than the first; the message names it.
    """
    known = len(names(folder)) if (folder / NAMES).is_file() else None
    paths = _files(folder, split)
    points, labels = zip(*(read_file(path, known, cast=cast) for path in paths), strict=True)
    size = points[0].shape[1]
    for path, found in zip(paths, points, strict=True):
        check(found.shape[1] == size, f"{path} has clouds of {found.shape[1]} points, {paths[0]} of {size}")
    return np.concatenate(points), np.concatenate(labels)


def names(folder: Path) -> tuple[str, ...]:
    """The classes that ``shape_names.txt`` of a folder lists, one a line."""
    return named(folder / NAMES)


def read_file(path: Path, classes: int | None, *, cast: Cast = single) -> Clouds:
    """The clouds of one HDF5 file: data (N, P, 3), label (N,) or (N, 1), below ``classes`` if that is given.

    Raises:
        UserError: there is no such file, or it is damaged, lacks a dataset, has another shape, a NaN or other labels,
            or keeps values in another file, which is not opened.
    """
    points, labels = _datasets(path, "data", "label")
    return checked(path, points, labels, classes, cast=cast)


def read_points(path: Path, *, cast: Cast = single) -> NDArray[np.float32]:
    """The clouds (N, P, 3) of one HDF5 file, whether it has labels or not.

    Raises:
        UserError: as ``read_file`` does.
    """
    (points,) = _datasets(path, "data")
    return checked(path, points, np.zeros(points.shape[:1]), None, cast=cast)[0]


def _datasets(path: Path, *names: str) -> list[NDArray[Any]]:
    """Datasets of a file that lie in the file itself."""
    check_plain(path)
    try:
        with h5py.File(path) as file:
            missing = set(names) - set(file)
            check(not missing, f"{path} has no dataset {' or '.join(sorted(missing))}; it has: {some(file)}")
            return [_values(path, file, name) for name in names]
    except UserError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:  # h5py raises all of them
        reason = " ".join(str(error).split())[:200] or "it needs too much memory"
        raise UserError(f"cannot read {path} as HDF5: {reason}; get the file again") from None


def _values(path: Path, file: h5py.File, name: str) -> NDArray[Any]:
    """The numbers of a dataset that lies in the file itself. HDF5 could follow its links to any other file."""
    link = file.id.links.get_info(name.encode()).type
    check(link == h5py.h5l.TYPE_HARD, f"{path}: {name} is a link; copy the dataset that it leads to into this file")
    dataset = file[name]
    check(isinstance(dataset, h5py.Dataset) and dataset.shape is not None, f"{path}: {name} is no dataset with values")
    elsewhere = dataset.is_virtual or dataset.external
    check(not elsewhere, f"{path}: {name} keeps its values in other files; copy them into this file")
    kind, hint = dataset.dtype, "give numbers, and put the names of classes into shape_names.txt in the order of labels"
    check(kind.kind in "iuf", f"{path}: {name} holds {'text' if kind.kind in 'OSU' else kind}, not numbers; {hint}")
    stored = dataset.id.get_storage_size()
    check(
        dataset.nbytes <= max(10**9, MOST_PACKED * stored),
        f"{path}: {name} has the shape {dataset.shape}, but only {stored} bytes are stored; get the file again",
    )
    return np.asarray(dataset[()])


def checked(
    path: Path, points: NDArray[Any], labels: NDArray[Any], classes: int | None, *, cast: Cast = single
) -> Clouds:
    """Points as ``cast`` returns them, float32, and labels as int64.

    Raises:
        UserError: shapes, values or labels are not those of clouds; the message names ``path``.
    """
    check(points.ndim == 3 and points.shape[2] == 3, f"{path}: data has the shape {points.shape}, not (N, P, 3)")
    fits = labels.shape in ((len(points),), (len(points), 1))
    check(fits, f"{path}: label has the shape {labels.shape}, not ({len(points)},) as data has {len(points)} clouds")
    check(points.size > 0, f"{path} holds no cloud, or clouds of no point")
    bad = ~np.isfinite(points).all(axis=(1, 2))
    check(not bad.any(), f"{path}: cloud {int(bad.argmax())} has values that are not finite")
    whole = np.isfinite(labels).all() and (labels == np.floor(labels)).all()
    check(bool(whole), f"{path}: label has values that are not whole numbers; give whole numbers from 0")
    low, high, top = int(labels.min()), int(labels.max()), (MOST_CLASSES if classes is None else classes) - 1
    check(low >= 0 and high <= top, f"{path}: labels go from {low} to {high}, not from 0 to {top}")
    return cast(path, points), labels.reshape(-1).astype(np.int64)


def write(path: Path, clouds: Clouds, **attributes: int) -> None:
    """Write one HDF5 file that ``read_file`` reads, with a digest of the clouds and attributes of its own.

    Raises:
        WriteError: the file cannot be written.
    """
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["data"], file["label"] = clouds
        file.attrs.update(attributes, **{DIGEST: digest({"": clouds})})
    write_atomic(path, content.getvalue())


def attribute(path: Path, name: str) -> object:
    """The attribute of an HDF5 file that can be read; None if it has none of this name."""
    with h5py.File(path) as file:
        return file.attrs.get(name)


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
