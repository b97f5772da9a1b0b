"""The layouts in which ModelNet40 is published: where they are looked for, how each is read, and their conversion."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import progress
from benchmarks.files import clouds, pickles
from benchmarks.files.clouds import Clouds
from benchmarks.files.contents import digest
from benchmarks.files.coordinates import in_unit_sphere
from benchmarks.files.places import check_plain
from benchmarks.files.root import data_root
from benchmarks.files.writing import read_text as text_of
from methods.errors import UserError, check

Split = Literal["train", "test"]

_LIST = (
    "airplane bathtub bed bench bookshelf bottle bowl car chair cone cup curtain desk door dresser flower_pot "
    "glass_box guitar keyboard lamp laptop mantel monitor night_stand person piano plant radio range_hood sink "
    "sofa stairs stool table tent toilet tv_stand vase wardrobe xbox"
)
NAMES = tuple(_LIST.split())
SPLITS: tuple[Split, Split] = ("train", "test")
POINTS = 1024  # of every cloud, the farthest
ORDERED = "farthest_first"  # the attribute of converted files that says how many farthest points come first
CONVERTED, HDF5, TEXT = "modelnet40", "modelnet40_ply_hdf5_2048", "modelnet40_normal_resampled"
FEWSHOT = "ModelNetFewshot"
PLACES = (".", "modelnet40", "ModelNet40", "ModelNet")


def find(name: str) -> Iterator[Path]:
    """The folders of this name that lie in the data root, or in a folder of it that is named after the data set."""
    places = (data_root() / place / name for place in PLACES)
    return (place for place in places if place.is_dir())


def pickle_path(folder: Path, split: Split) -> Path:
    """The pickle that Point-BERT's authors prepared: clouds of 8,192 points in the order of farthest-point sampling."""
    return folder / f"modelnet40_{split}_8192pts_fps.dat"


def list_path(folder: Path, split: Split) -> Path:
    """The list of the text clouds of a split, with one name such as airplane_0001 per line."""
    return folder / f"modelnet40_{split}.txt"


def read_pickle(path: Path) -> Clouds:
    """Clouds of a pickled pair of lists: points (P, 3 or more) and labels.

    Raises:
        UserError: the pickle holds something else, which is not run.
    """
    value = pickles.load(path)
    fits = isinstance(value, (list, tuple)) and len(value) >= 2 and all(isinstance(part, list) for part in value[:2])
    check(fits and len(value[0]) == len(value[1]) > 0, f"{path} does not hold two lists, of points and of labels")
    return _stacked(path, list(zip(value[0], value[1], strict=True)), len(NAMES))


def read_fewshot(path: Path, way: int) -> tuple[Clouds, Clouds]:
    """Training and test clouds of one fold: pickled lists of (points, label, ...), named train and test.

    Raises:
        UserError: the pickle holds something else, which is not run.
    """
    value = pickles.load(path)
    fits = isinstance(value, dict) and all(isinstance(value.get(name), list) and value[name] for name in SPLITS)
    check(fits, f"{path} does not hold two lists named {' and '.join(SPLITS)}")
    train, test = (_stacked(path, value[name], way) for name in SPLITS)
    return train, test


def read_text(folder: Path, split: Split) -> Clouds:
    """Clouds of text files with x,y,z and more per line.

    Raises:
        UserError: a file is missing or holds something else, or a class is unknown.
    """
    listed, samples = list_path(folder, split), []
    with progress() as bar:
        for name in bar.track(text_of(listed).split(), description=f"reading {listed.name}"):
            label = name.rpartition("_")[0]
            fits = label in NAMES and Path(name).name == name
            check(fits, f"{listed} lists '{name}', which is of no class of ModelNet40")
            samples.append((_text_cloud(folder / label / f"{name}.txt"), NAMES.index(label)))
    check(bool(samples), f"{listed} is empty")
    return _stacked(folder, samples, len(NAMES))


def _text_cloud(path: Path) -> NDArray[np.float64]:
    """All points of one text file, (P, 3)."""
    check_plain(path)
    try:
        found = np.loadtxt(path, dtype=np.float64, delimiter=",", usecols=(0, 1, 2), ndmin=2)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read cloud {path}: {' '.join(str(error).split())[:200]}") from None
    check(len(found) >= POINTS, f"{path} has {len(found)} points; {POINTS} are needed")
    return found


def _stacked(path: Path, samples: list[Any], classes: int) -> Clouds:
    """Pairs of a cloud (P, 3 or more) and its label as one array each, in the unit sphere.

    If clouds differ in P, the last points of the longer ones are left out.
    """
    clouds_, labels = [], []
    for number, sample in enumerate(samples):
        check(isinstance(sample, tuple) and len(sample) >= 2, f"{path}: sample {number} is no pair of points and label")
        points, label = (_array(path, number, part) for part in sample[:2])
        fits = points.ndim == 2 and points.shape[1] >= 3 and len(points) >= POINTS and points.dtype.kind == "f"
        check(fits, f"{path}: sample {number} has points of shape {points.shape}, not ({POINTS} or more, 3 or more)")
        check(label.size == 1 and label.dtype.kind in "iu", f"{path}: sample {number} has no whole number as its label")
        clouds_.append(points[:, :3])
        labels.append(int(label.reshape(())))
    size = min(map(len, clouds_))
    stacked = np.stack([cloud[:size] for cloud in clouds_])
    return clouds.checked(path, stacked, np.array(labels), classes, cast=in_unit_sphere)


def ordered(path: Path, found: Clouds) -> Clouds:
    """Clouds with POINTS farthest points first.

    Raises:
        UserError: the clouds have fewer points; the message names ``path``.
    """
    x, labels = found
    check(x.shape[1] >= POINTS, f"{path} has clouds of {x.shape[1]} points; {POINTS} are needed")
    from benchmarks.files.farthest import farthest_first

    return farthest_first(x, POINTS), labels


def read_converted(folder: Path) -> tuple[Clouds, Clouds]:
    """Training and test clouds that ``convert`` wrote.

    Raises:
        UserError: a file is damaged, or an earlier version wrote it, which kept the first points of every cloud.
    """
    train, test = (_converted(folder / f"{split}.h5") for split in SPLITS)
    return train, test


def _converted(path: Path) -> Clouds:
    x, labels = clouds.read_file(path, len(NAMES))
    if clouds.attribute(path, ORDERED) == POINTS:
        whole = clouds.attribute(path, clouds.DIGEST) in (digest({"": (x, labels)}), None)  # None: an earlier version's
        check(whole, f"{path} is damaged: it holds other clouds than were written; convert the published files again")
        return x, labels
    old = f"it has only the first {POINTS} points of every cloud, as earlier versions wrote them"
    check(x.shape[1] != POINTS, f"{path}: {old}; convert the published files again")
    return ordered(path, (in_unit_sphere(path, x), labels))


def _array(path: Path, number: int, value: Any) -> NDArray[Any]:
    fits = isinstance(value, (np.ndarray, int, float))
    check(fits, f"{path}: sample {number} holds a {type(value).__name__}, not an array or a number")
    return np.asarray(value)


def convert() -> list[Path]:
    """Write all clouds to train.h5 and test.h5, from pickles or else from text clouds, with farthest points first.

    The files load fast and cannot run code. Returns the paths that were written; older files there are replaced.

    Raises:
        UserError: there are no files to convert, they hold something else, or the results cannot be written.
    """
    written = []
    for split in SPLITS:
        written.append(data_root() / CONVERTED / f"{split}.h5")
        clouds.write(written[-1], ordered(written[-1], _unconverted(split)), **{ORDERED: POINTS})
    return written


def _unconverted(split: Split) -> Clouds:
    for place in find(TEXT):
        if pickle_path(place, split).is_file():
            return read_pickle(pickle_path(place, split))
    for place in find(TEXT):
        if list_path(place, split).is_file():
            return read_text(place, split)
    raise UserError(
        f"nothing to convert for split {split}: put {pickle_path(Path(TEXT), split)}, or text clouds and their "
        f"{list_path(Path(TEXT), split)}, below {data_root()}"
    )
