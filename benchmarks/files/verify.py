"""What is wrong with a task's files, one line per fault."""

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from benchmarks.files import layouts
from benchmarks.files.contents import each
from benchmarks.files.decoded import decode
from benchmarks.files.layouts import Layout
from methods.errors import UserError

SHOWN = 3  # examples in a line on many faults of one kind
SIZE = 8  # pixels; small, because only the decoding is checked


def images(layout: Layout) -> list[str]:
    """Faults of a task of images: shared samples, lists that disagree, empty classes, files that do not decode."""
    name = layout.folder.name
    lines = [f"{name}: {fault}" for fault in [*_shared(layout), *_disagreement(layout)]]
    present = {label for samples in layout.splits.values() for _, label in samples}
    empty = [label for index, label in enumerate(layout.labels) if index not in present]
    lines += [f"{name}: no sample of class {_some(empty)}"] if empty else []
    paths = sorted({layout.folder / path for samples in layout.splits.values() for path, _ in samples})
    broken = [fault for fault in each(_undecodable, paths, f"verify {name}") if fault]
    return lines + ([f"{name}: {len(broken)} of {len(paths)} images do not decode: {_some(broken)}"] if broken else [])


def points(folder: Path, splits: Mapping[str, tuple[Any, Any]], classes: int) -> list[str]:
    """Classes that have no sample in a split. Other faults of point clouds are found when their files are read."""
    empty = {split: sorted(set(range(classes)) - set(y.tolist())) for split, (_, y) in splits.items()}
    lines = ((split, _some(map(str, missing))) for split, missing in empty.items() if missing)
    return [f"{folder.name}/{split}: no sample of class {missing}" for split, missing in lines]


def _shared(layout: Layout) -> list[str]:
    paths = {split: {path for path, _ in samples} for split, samples in layout.splits.items()}
    shared = {(a, b): sorted(paths[a] & paths[b]) for a, b in combinations(paths, 2)}
    return [f"{len(both)} images of {a} are also in {b}: {_some(both)}" for (a, b), both in shared.items() if both]


def _disagreement(layout: Layout) -> list[str]:
    """Whether the list of train and val together, by which other code trains, has the same lines as the two lists."""
    path = layout.folder / layouts.EVERYTHING
    if not path.is_file():
        return []
    try:
        listed = Counter(layouts.read_list(path))
    except UserError as error:
        return [str(error)]
    apart = Counter((*layout.splits["train"], *layout.splits["val"]))
    odd = sorted(f"{sample[0]} {sample[1]}" for sample in (listed - apart) + (apart - listed))
    both = f"{layouts.LISTS['train']} and {layouts.LISTS['val']}"
    return [f"{path.name} is not {both} together: {len(odd)} lines differ: {_some(odd)}"] if odd else []


def _undecodable(path: Path) -> str | None:
    try:
        decode(path, SIZE)
    except UserError as error:
        return str(error)
    return None


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
