"""The two layouts of image tasks on disk: VTAB-1K's lists, and one folder per class (ImageFolder)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.files.classes import MOST_CLASSES, check_several, gaps, named, some
from benchmarks.files.holdout import hold_out
from benchmarks.files.places import Place
from benchmarks.files.root import data_root
from benchmarks.files.writing import read_text
from methods.errors import UserError, check

Sample = tuple[str, int]  # a path relative to the task's folder, with forward slashes, and a label

LISTS = {"train": "train800.txt", "val": "val200.txt", "test": "test.txt"}
EVERYTHING = "train800val200.txt"  # the first two lists together
NAMES = "classes.txt"  # beside the lists: names of classes, one a line, in the order of the labels
ENDINGS = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
UNREAD = (".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".psd", ".svg")  # refused
DEEPEST = 5  # folders below a class in which its classes are looked for


@dataclass(frozen=True, kw_only=True)
class Layout:
    """An image task on disk: the names of its classes, and the samples of each of its three splits.

    ``numbers`` are the labels of the classes in the lists, if there are lists. ``note`` is one line on numbers that
    they leave out; it is empty if there are none.
    """

    folder: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    numbers: tuple[int, ...] = ()
    note: str = ""

    def files(self, split: str) -> list[str]:
        """The images of a split in its order, by their paths below the data root."""
        below = self.folder.relative_to(data_root()).as_posix()
        start = "" if below == "." else f"{below}/"
        return [start + path for path, _ in self.splits[split]]


def find(folder: Path) -> Layout | None:
    """The task in a folder; None if the folder has the training samples of neither layout.

    Raises:
        UserError: the task is not complete, has less than two classes, or is not as its layout says.
    """
    if (folder / LISTS["train"]).is_file():
        return _numbered(_named(lists(folder)))
    return image_folder(folder) if (folder / "train").is_dir() else None


def lists(folder: Path) -> Layout:
    """A task in VTAB-1K's layout. Its classes are named by their numbers; its lists may have any number of lines.

    Raises:
        UserError: a list is missing or empty, or a line is not an image below the folder and a label.
    """
    missing = [name for name in LISTS.values() if not (folder / name).is_file()]
    check(not missing, f"{folder}: no {', no '.join(missing)}; the layout of VTAB-1K has {', '.join(LISTS.values())}")
    splits = {split: read_list(folder / name) for split, name in LISTS.items()}
    highest = max(label for samples in splits.values() for _, label in samples)
    numbers = tuple(range(highest + 1))
    return Layout(folder=folder, labels=tuple(map(str, numbers)), splits=splits, numbers=numbers)


def _named(layout: Layout) -> Layout:
    """The same samples, whose classes have the names of the file beside the lists, if there is one."""
    file = layout.folder / NAMES
    if not file.is_file():
        return layout
    names, most = named(file), len(layout.labels)
    check(len(names) >= most, f"{file} has {len(names)} names, and the labels of the lists go to {most - 1}")
    return replace(layout, labels=names[:most])


def _numbered(layout: Layout) -> Layout:
    """The same samples with labels that count from 0 without gaps. A class keeps its name or its former label."""
    present = sorted({label for samples in layout.splits.values() for _, label in samples})
    labels, number = tuple(layout.labels[label] for label in present), {label: i for i, label in enumerate(present)}
    check_several(layout.folder, labels)
    note = gaps(layout.folder, present)
    if not note:
        return layout
    splits = {
        split: tuple((path, number[label]) for path, label in samples) for split, samples in layout.splits.items()
    }
    return replace(layout, labels=labels, splits=splits, numbers=tuple(present), note=note)


def read_list(path: Path) -> tuple[Sample, ...]:
    """The samples of one list, with one line ``PATH LABEL`` per sample; empty lines are skipped.

    Raises:
        UserError: the list cannot be read or is empty, or a line is wrong.
    """
    lines = enumerate(read_text(path).splitlines(), 1)
    samples = tuple(_sample(line, path, number) for number, line in lines if line.strip())
    check(bool(samples), f"{path}: lists no image")
    return samples


def _sample(line: str, listing: Path, number: int) -> Sample:
    """One line. Lists may have a hundred thousand, so messages are made only for a wrong line."""
    path, *rest = line.strip().rsplit(maxsplit=1)
    label = rest[0] if rest else ""
    if not rest:
        reason = f"'{line}' is not 'PATH LABEL'"
    elif not (label.isascii() and label.isdigit()):
        reason = f"label '{label}' is not a number from 0"
    elif len(label) > 9 or int(label) >= MOST_CLASSES:
        reason = f"label {label} is above {MOST_CLASSES - 1}"
    elif not is_below(path):
        reason = f"path '{path}' leaves the folder; give one below it"
    else:
        return path, int(label)
    raise UserError(f"{listing}, line {number}: {reason}")


def is_below(path: str) -> bool:
    """Whether a path of a list stays below its folder."""
    out = path[:1] in ("", "/", "\\") or path[1:2] == ":" or "\0" in path
    return not out and ".." not in path.replace("\\", "/").split("/")


def image_folder(folder: Path) -> Layout:
    """A task with one folder per class below ``train``, ``test`` and, if there is one, ``val``.

    Without ``val``, a fixed tenth of the training samples is held out.

    Raises:
        UserError: there is no ``test``, there are less than two classes, a class has no images or is not in ``train``,
            or a link leads out of the data root or to images that are read already.
    """
    check((folder / "test").is_dir(), f"{folder}: has a folder train, but no folder test")
    place = Place(folder)
    labels = place.folders("train")
    check(bool(labels), f"{folder / 'train'}: has no class folder; put images at train/CLASS/NAME.jpg")
    check_several(folder, labels, _too_deep(place, labels[0]))
    splits = {split: _class_samples(place, split, labels) for split in ("train", "test")}
    if (folder / "val").is_dir():
        splits["val"] = _class_samples(place, "val", labels)
    else:
        samples = splits["train"]
        kept, held = hold_out([label for _, label in samples])
        cure = "which validation needs; add images or a folder val"
        check(len(held) > 0, f"{folder}: no class has a second training image, {cure}")
        splits["train"], splits["val"] = tuple(samples[i] for i in kept), tuple(samples[i] for i in held)
    return Layout(folder=folder, labels=tuple(labels), splits={split: splits[split] for split in LISTS})


def _too_deep(place: Place, only: str) -> str:
    """A hint for a task of one class: the first folders below it, if they are several, may be the classes."""
    below = f"train/{only}"
    for _ in range(DEEPEST):
        inside = place.folders(below)
        if len(inside) != 1:
            break
        below = f"{below}/{inside[0]}"
    hint = f"; {some(inside)} in {below} look like the classes, so move them to train, and those of test to test"
    return hint if len(inside) > 1 else ""


def _class_samples(place: Place, split: str, labels: Sequence[str]) -> tuple[Sample, ...]:
    folder, present = place.folder, place.folders(split)
    foreign = [name for name in present if name not in labels]
    known = ", ".join(labels)
    check(not foreign, f"{folder / split}: class '{', '.join(foreign)}' is not among those of train: {known}")
    samples: list[Sample] = []
    for label, name in enumerate(labels):
        paths = place.files(f"{split}/{name}", ENDINGS, UNREAD) if name in present else []
        check(bool(paths) or name not in present, f"{folder / split / name}: has no image ({', '.join(ENDINGS)})")
        samples += [(path, label) for path in paths]
    check(bool(samples), f"{folder / split}: has no image of the classes of train: {known}")
    return tuple(samples)
