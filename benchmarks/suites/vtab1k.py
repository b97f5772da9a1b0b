"""VTAB-1K: 19 image tasks of 1,000 training samples (Zhai et al. 2019, arXiv:1910.04867), in the layout of its lists.

The files are JPEGs even where the originals are not. The 32-pixel sets lose accuracy by that (CIFAR-100 comes to about
70 percent, against 80 from the original pixels), so compare with results on the same files.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from benchmarks import published
from benchmarks.files import contents, decoded, layouts, verify
from benchmarks.files.fetch import Archive
from benchmarks.files.layouts import Layout
from benchmarks.files.root import Missing, data_root
from benchmarks.suites import Suite, Task
from methods.errors import UserError, check

ARCHIVE = Archive(
    repository="XiN0919/VTAB-1k",
    name="vtab-1k.zip",
    folder="vtab-1k",
    lists=(*layouts.LISTS.values(), layouts.EVERYTHING),
    check="python -m benchmarks.data verify vtab1k",
)
RECIPE = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "drop_path": 0.1}
BACKBONE = "vit_base_patch16_224.orig_in21k"

# for each group, rows of: name, classes, test samples, names of the folder, source, licence
_TABLE: dict[str, tuple[tuple[str, int, int, str, str, str], ...]] = {
    "natural": (
        ("cifar100", 100, 10000, "cifar cifar100", "Krizhevsky 2009", "none stated"),
        ("caltech101", 102, 6084, "caltech101", "Li et al. 2004", "CC BY 4.0"),
        ("dtd", 47, 1880, "dtd", "Cimpoi et al. 2014", "research only"),
        ("flowers102", 102, 6149, "oxford_flowers102 flowers102", "Nilsback, Zisserman 2008", "none stated"),
        ("pets", 37, 3669, "oxford_iiit_pet oxford_pet pets", "Parkhi et al. 2012", "CC BY-SA 4.0"),
        ("svhn", 10, 26032, "svhn", "Netzer et al. 2011", "non-commercial"),
        ("sun397", 397, 21750, "sun397", "Xiao et al. 2010", "research only"),
    ),
    "specialized": (
        ("camelyon", 2, 32768, "patch_camelyon camelyon", "Veeling et al. 2018", "CC0 1.0"),
        ("eurosat", 10, 5400, "eurosat", "Helber et al. 2019", "MIT"),
        ("resisc45", 45, 6300, "resisc45", "Cheng et al. 2017", "none stated"),
        ("retinopathy", 5, 42670, "diabetic_retinopathy retinopathy", "Kaggle, EyePACS 2015", "competition rules"),
    ),
    "structured": (
        ("clevr_count", 8, 15000, "clevr_count", "Johnson et al. 2017", "CC BY 4.0"),
        ("clevr_dist", 6, 15000, "clevr_dist clevr_distance", "Johnson et al. 2017", "CC BY 4.0"),
        ("dmlab", 6, 22735, "dmlab", "Beattie et al. 2016", "none stated"),
        ("kitti", 4, 711, "kitti kitti_distance", "Geiger et al. 2013", "CC BY-NC-SA 3.0"),
        ("dsprites_loc", 16, 73728, "dsprites_loc dsprites_location", "Matthey et al. 2017", "Apache-2.0"),
        ("dsprites_ori", 16, 73728, "dsprites_ori dsprites_orientation", "Matthey et al. 2017", "Apache-2.0"),
        ("smallnorb_azi", 18, 12150, "smallnorb_azi smallnorb_azimuth", "LeCun et al. 2004", "research only"),
        ("smallnorb_ele", 9, 12150, "smallnorb_ele smallnorb_elevation", "LeCun et al. 2004", "research only"),
    ),
}

FOLDERS = {row[0]: tuple(row[3].split()) for rows in _TABLE.values() for row in rows}


def _tasks() -> dict[str, Task]:
    return {
        name: Task(
            name=name,
            modality="image",
            labels=tuple(str(label) for label in range(classes)),
            group=group,
            train=800,
            val=200,
            test=test,
            source=source,
            licence=licence,
        )
        for group, rows in _TABLE.items()
        for name, classes, test, _, source, licence in rows
    }


def find(task: str) -> Path:
    """A task's folder, by any of its names, in ``vtab-1k`` below the data root or in the data root itself.

    Raises:
        Missing: there is no such folder.
    """
    root, names = data_root(), FOLDERS[task]
    places = [place / name for place in (root / ARCHIVE.folder, root) for name in names]
    found = [place for place in places if place.is_dir()]
    if not found:
        raise Missing(
            f"VTAB-1K's task '{task}' is not below {root}: looked for a folder {' or '.join(names)} in it and in "
            f"{root / ARCHIVE.folder}; get it with `python -m benchmarks.data fetch vtab1k`, or give --data-root DIR"
        )
    return found[0]


def read(task: str) -> Layout:
    """A task's lists, checked against the table's counts and classes.

    Raises:
        UserError: a list is missing or differs from the table; the message has the folder, the list and the count.
    """
    expected, layout = SUITE.tasks[task], layouts.lists(find(task))
    for split, samples in layout.splits.items():
        count, path = getattr(expected, split), layout.folder / layouts.LISTS[split]
        check(len(samples) == count, f"{path}: lists {len(samples)} images, but {task} has {count}")
        highest = max(label for _, label in samples)
        check(highest < expected.classes, f"{path}: label {highest}, but {task} has 0 to {expected.classes - 1}")
    return layouts.Layout(folder=layout.folder, labels=expected.labels, splits=layout.splits)


def load(task: str, split: str, *, size: int | None) -> tuple[Tensor, Tensor]:
    """Images and labels of a split."""
    return decoded.load(read(task), split, size)


def fingerprint(task: str) -> str:
    """SHA-256 over the lists and the bytes of the files."""
    return contents.task_fingerprint(read(task))


def faults(task: str) -> list[str]:
    """What is wrong with a task's lists and files, one line per fault.

    Raises:
        Missing: the task has no folder.
    """
    try:
        return verify.images(read(task))
    except Missing:
        raise
    except UserError as error:
        return [str(error)]


SUITE = Suite(
    name="vtab1k",
    tasks=_tasks(),
    recipes={"image": RECIPE},
    backbones={"image": BACKBONE},
    load=load,
    fingerprint=fingerprint,
    obtain=ARCHIVE,
    faults=faults,
    published=published.files("vtab1k", published.FIGURE, "second_hand"),
    panel=published.Panel(
        task=published.GROUP_MEAN,
        title="VTAB-1K",
        accuracy="mean of the three group means (%)",
        counted="without the head (linear: the head)",
    ),
)
