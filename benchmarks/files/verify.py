"""What is wrong with a task's files, one line per fault."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.files import layouts, pictures
from benchmarks.files.classes import some
from benchmarks.files.contents import each, file_sha256
from benchmarks.files.layouts import Layout
from benchmarks.files.places import Place
from methods.errors import UserError

Content = tuple[str, str, str, str]  # of a sample: a digest, its split, its class, and where it is


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one image file is: why it cannot be used; or a digest of its pixels, if it is turned or has more frames."""

    fault: str = ""
    digest: str = ""
    animated: bool = False
    turned: bool = False


def images(layout: Layout, *, repeats: bool = True) -> list[str]:
    """Faults of a task of images, in its lists, its classes and its files.

    Args:
        layout: the task.
        repeats: also tell of equal images in two splits or classes.
    """
    seen = _seen(layout)
    broken = [found.fault for found in seen.values() if found.fault]
    moving = [path for path, found in seen.items() if found.animated]
    lines = [*_shared(layout), *_disagreement(layout), *_without_samples(layout)]
    lines += _equal(layout, seen) if repeats else []
    lines += [f"{len(broken)} of {len(seen)} images do not decode: {some(broken)}"] if broken else []
    lines += [f"{len(moving)} images have more frames than the first, which is read: {some(moving)}"] if moving else []
    return ([layout.note] if layout.note else []) + [f"{layout.folder.name}: {line}" for line in lines]


def facts(layout: Layout) -> list[str]:
    """What a person may not expect of a task of images, though nothing need be wrong, one line each."""
    seen = _seen(layout)
    turned = [path for path, found in seen.items() if found.turned]
    told = "are turned by their EXIF orientation, as they are read here"
    lines = [f"{len(turned)} of {len(seen)} images {told}: {some(turned)}"] if turned else []
    for split, samples in layout.splits.items():
        missing = sorted(set(range(len(layout.labels))) - {label for _, label in samples})
        lines += [f"{split} has no sample of class {some(layout.labels[i] for i in missing)}"] if missing else []
    return lines


def repeated_images(layout: Layout) -> list[str]:
    """Equal images in two splits or classes of a task, one line each."""
    return [f"{layout.folder.name}: {line}" for line in _equal(layout, _seen(layout))]


def repeated_files(layout: Layout) -> list[str]:
    """Files with equal bytes in two splits or classes of a task, one line each."""
    samples = [(split, *sample) for split, part in layout.splits.items() for sample in part]
    files = sorted({(path, 0) for _, path, _ in samples})
    digests = each(partial(file_sha256, layout.folder), files, f"compare {layout.folder.name}")
    known = dict(zip((path for path, _ in files), digests, strict=True))
    return _repeated("files", [(known[path], split, layout.labels[label], path) for split, path, label in samples])


def points(folder: Path, splits: Mapping[str, tuple[Any, Any]], classes: int, note: str = "") -> list[str]:
    """Classes without a sample in a split, and equal clouds in two splits or classes.

    Other faults of point clouds are found when their files are read.
    """
    lines = [note] if note else []
    for split, (_, y) in splits.items():
        missing = sorted(set(range(classes)) - set(y.tolist()))
        lines += [f"{folder.name}/{split}: no sample of class {some(map(str, missing))}"] if missing else []
    contents = [
        (hashlib.sha256(cloud.tobytes()).hexdigest(), split, str(label), f"cloud {number} of {split}")
        for split, (x, y) in splits.items()
        for number, (cloud, label) in enumerate(zip(x, y.tolist(), strict=True))
    ]
    return lines + [f"{folder.name}: {line}" for line in _repeated("clouds", contents)]


def _seen(layout: Layout) -> dict[str, Seen]:
    place = Place(layout.folder)
    paths = sorted({path for samples in layout.splits.values() for path, _ in samples})
    with pictures.without_warnings():
        return dict(zip(paths, each(partial(_look, place), paths, f"verify {layout.folder.name}"), strict=True))


def _look(place: Place, path: str) -> Seen:
    try:
        state = place.state(path)
    except UserError as error:
        return Seen(fault=str(error))
    return _content(place.folder / path, state.st_size, state.st_mtime_ns)


@cache  # tasks share test images
def _content(path: Path, size: int, time_ns: int) -> Seen:
    """What the image file of this size and time is."""
    try:
        image = pictures.read(path)
        digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()
        return Seen(digest=digest, animated=pictures.animated(path), turned=pictures.turned(path))
    except UserError as error:
        return Seen(fault=str(error))


def _shared(layout: Layout) -> list[str]:
    paths = {split: {path for path, _ in samples} for split, samples in layout.splits.items()}
    shared = {(a, b): sorted(paths[a] & paths[b]) for a, b in combinations(paths, 2)}
    return [f"{len(both)} images of {a} are also in {b}: {some(both)}" for (a, b), both in shared.items() if both]


def _disagreement(layout: Layout) -> list[str]:
    """Whether the list of train and val together, by which other code trains, has the same lines as the two lists."""
    path = layout.folder / layouts.EVERYTHING
    if not path.is_file():
        return []
    try:
        listed = Counter(layouts.read_list(path))
    except UserError as error:
        return [str(error)]
    both = (*layout.splits["train"], *layout.splits["val"])
    apart = Counter((name, layout.numbers[label]) for name, label in both)
    odd = sorted(f"{name} {label}" for name, label in (listed - apart) + (apart - listed))
    lists = f"{layouts.LISTS['train']} and {layouts.LISTS['val']}"
    return [f"{path.name} is not {lists} together: {len(odd)} lines differ: {some(odd)}"] if odd else []


def _without_samples(layout: Layout) -> list[str]:
    """Classes that no split has, and those that only test has, which nothing can learn."""
    labels = {split: {label for _, label in samples} for split, samples in layout.splits.items()}
    learned = labels["train"] | labels["val"]
    names = dict(enumerate(layout.labels))
    empty = [name for label, name in names.items() if label not in learned | labels["test"]]
    unlearned = [names[label] for label in sorted(labels["test"] - learned)]
    lines = [f"no sample of class {some(empty)}"] if empty else []
    return lines + ([f"samples of class {some(unlearned)} are only in test"] if unlearned else [])


def _equal(layout: Layout, seen: Mapping[str, Seen]) -> list[str]:
    samples = [(split, path, label) for split, part in layout.splits.items() for path, label in part]
    contents = [(seen[path].digest, split, layout.labels[label], path) for split, path, label in samples]
    return _repeated("images", [content for content in contents if content[0]])


def _repeated(kind: str, contents: Iterable[Content]) -> list[str]:
    """Equal contents in two splits or in two classes, each named with the first of the same content."""
    first, across, classes = dict[str, Content](), list[str](), list[str]()
    for content in contents:
        digest, split, label, where = content
        _, first_split, first_label, first_where = first.setdefault(digest, content)
        if first_where != where and split != first_split:
            across.append(f"{first_where} and {where}")
        if label != first_label:
            classes.append(f"{first_where} ({first_label}) and {where} ({label})")
    lines = [f"{len(across)} {kind} are in two splits: {some(across)}"] if across else []
    return lines + ([f"{len(classes)} {kind} are in two classes: {some(classes)}"] if classes else [])
