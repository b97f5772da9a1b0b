"""What the suites of listed image files share: the check of a list against the table, and what ``verify`` tells."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.files import verify
from benchmarks.files.layouts import Layout, Sample
from benchmarks.files.root import Missing
from methods.errors import UserError, check


def check_list(path: Path, samples: Sequence[Sample], name: str, *, count: int, classes: int) -> None:
    """Check the number of samples and the labels of a list against the table; ``name`` is the data set's.

    Raises:
        UserError: they differ; the message has the list and both numbers.
    """
    check(len(samples) == count, f"{path}: lists {len(samples)} images, but {name} has {count}")
    highest = max(label for _, label in samples)
    check(highest < classes, f"{path}: label {highest}, but {name} has 0 to {classes - 1}")


def faults(*reads: Callable[[], Layout]) -> list[str]:
    """What is wrong with the lists that these functions read, and with their images, one line per fault.

    Raises:
        Missing: the data set has no folder.
    """
    lines = dict[str, None]()  # in their order, each once
    for read in reads:
        try:
            lines |= dict.fromkeys(verify.images(read(), repeats=False))
        except Missing:
            raise
        except UserError as error:
            lines[str(error)] = None
    return list(lines)


def repeated(layouts: Iterable[Layout]) -> list[str]:
    """Equal images in two splits or classes, each once: reported, because papers have trained and tested on them."""
    return list(dict.fromkeys(line for layout in layouts for line in verify.repeated_images(layout)))
