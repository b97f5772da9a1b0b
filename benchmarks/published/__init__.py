"""Numbers as papers print them: CSV files with their sources and checkpoint rules, and the reading of such files.

One row is one number. Columns: ``suite``, ``modality`` (image or points), ``task`` (or "mean" of all tasks, "GROUP
mean" of a group's tasks, "group mean" of the groups' means), ``method``, ``accuracy`` in percent, ``backbone`` as this
benchmark names it, ``augment``, ``checkpoint_rule`` ("unknown" where the source does not say), ``source``. A file may
leave out these: ``params_m``, millions of trained parameters, without the head for images and with it for points;
``params_percent``, the same in percent of the full model; ``aggregate``, what the source says its number is an average
of; ``tasks``, over how many tasks that average is; ``seeds``; ``train_split``, whether the method trained on train or
on trainval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from methods.errors import UserError, check

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path(__file__).parent
CELLS = "cells"  # the aggregate of a number of one task, as a table prints it
MEAN = "mean"  # the task of a number that is the mean over all tasks
GROUP_MEAN = "group mean"  # the task of a number that is the mean of the groups' means
FIGURE = "adapterx_figure1"  # its points are the rows that have params_percent
NONE = float("nan")
USUAL = "vit_base_patch16_224"  # the architecture of most papers on images
OPTIONAL: dict[str, str | float] = {
    **{"aggregate": CELLS, "params_m": NONE, "params_percent": NONE, "tasks": 1},
    **{"seeds": "not said", "train_split": "-"},
}
COLUMNS = ("suite", "modality", "task", "method", "accuracy", "backbone", "augment", "checkpoint_rule", "source")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What the panel of one suite shows in the figure of accuracy against parameters (Adapter-X's figure 1).

    ``task`` is the published task, or ``GROUP_MEAN``; ``accuracy`` and ``counted`` say what the two axes show.
    """

    task: str
    title: str
    accuracy: str
    counted: str


def files(*names: str) -> tuple[Path, ...]:
    """The paths of CSV files of this folder, given without their ending."""
    return tuple(FOLDER / f"{name}.csv" for name in names)


@cache
def numbers(paths: tuple[Path, ...] | None = None) -> pd.DataFrame:
    """Every number of some CSV files (default: of all in this folder) with all columns, in the order of the files.

    Raises:
        UserError: a file is missing, is no CSV, or lacks a column.
    """
    import pandas as pd

    chosen = sorted(FOLDER.glob("*.csv")) if paths is None else paths
    return pd.concat([_read(path) for path in chosen], ignore_index=True)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        found = pd.read_csv(path, dtype={"seeds": str})
    except (OSError, ValueError) as error:  # pandas raises ValueErrors for what is no CSV
        raise UserError(f"cannot read the published numbers in {path}: {' '.join(str(error).split())}") from None
    lacking = [column for column in COLUMNS if column not in found]
    check(not lacking, f"{path} has no column {', '.join(lacking)}; it needs the columns {', '.join(COLUMNS)}")
    for column, value in OPTIONAL.items():
        if column not in found:
            found[column] = value
    return found.fillna({"seeds": OPTIONAL["seeds"]})


def find(
    suite: str, method: str, paths: tuple[Path, ...] | None = None, /, *, backbone: str, augment: str
) -> pd.DataFrame:
    """The numbers of a method on a suite, from some CSV files (default: all in this folder).

    Numbers on images are returned whatever the weights and the augmentation: those of this architecture, or of ViT-B/16
    if there are none. Numbers on points are returned only if they have this backbone and this augmentation.
    """
    found = numbers(paths)
    found = found[(found["suite"] == suite) & (found["method"] == method)]
    name = backbone.removesuffix("_1k")
    same = (found["backbone"] == name) & (found["augment"] == augment)
    architecture, known = name.partition(".")[0], found["backbone"].str.split(".").str[0]
    images = (found["modality"] == "image") & (known == (architecture if (known == architecture).any() else USUAL))
    return found[images | same]


def summary(found: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> str:
    """One line with the accuracies and their checkpoint rules.

    ``groups`` are the tasks that are compared, by group. Up to three tasks are shown one by one, more by their mean and
    group mean, which need a number of every task. A printed mean is shown only if it is over as many tasks.
    """
    tasks = [task for members in groups.values() for task in members]
    by_task = found[found["task"].isin(tasks)].drop_duplicates("task").set_index("task")["accuracy"]
    over = {MEAN: len(tasks), GROUP_MEAN: len(tasks)} | {f"{group} mean": len(own) for group, own in groups.items()}
    figure = found[found["task"].map(over) == found["tasks"]]
    shown: list[str] = []
    if by_task.empty:
        pairs = zip(figure["task"], figure["accuracy"], strict=True)
        shown = [f"{task} {accuracy:.1f} (figure or quote)" for task, accuracy in pairs]
    elif len(tasks) <= 3:
        shown = [f"{task} {by_task[task]:.2f}" for task in tasks if task in by_task]
    elif len(by_task) == len(tasks):
        means = [by_task[list(members)].mean() for members in groups.values()]
        shown = [f"mean {by_task.mean():.2f}", f"group mean {sum(means) / len(means):.2f}"]
    source = figure if by_task.empty else found[found["task"].isin(tasks)]
    rules = sorted(set(source["checkpoint_rule"])) if shown else []
    return ", ".join(shown) + (f"; rule {' or '.join(rules)}" if rules else "")
