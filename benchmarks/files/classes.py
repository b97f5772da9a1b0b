"""The classes of a task: two or more, numbered from 0 without gaps, and the files with their names."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.files.writing import read_text
from methods.errors import check

MOST_CLASSES = 100_000


def named(file: Path) -> tuple[str, ...]:
    """The names of classes that a file lists, one a line, in the order of the labels.

    Raises:
        UserError: the file cannot be read, or has a name twice.
    """
    names = tuple(name for line in read_text(file).splitlines() if (name := line.strip()))
    double = sorted({name for name in names if names.count(name) > 1})
    check(not double, f"{file} has the name '{double[0] if double else ''}' twice")
    return names


def check_several(folder: Path, labels: Sequence[str], hint: str = "") -> None:
    """Refuse a task of one class, on which every model is always right."""
    few = f"its only class is '{labels[0]}'" if labels else "it has no class"
    check(len(labels) > 1, f"{folder}: {few}; a task needs two classes or more{hint}")


def gaps(folder: Path, present: Sequence[int]) -> str:
    """One line if ascending labels do not count from 0 without gaps, else an empty text."""
    missing = sorted(set(range(present[-1])) - set(present))
    if not missing:
        return ""
    as_named = f"the other {len(present)} are its classes, by their numbers as names"
    return f"{folder}: no sample has label {some(map(str, missing))}; {as_named}"


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
