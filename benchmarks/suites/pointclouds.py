"""What suites of published point clouds share: fixed counts, a held-out tenth to validate on, and a recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.files.clouds import Clouds, divided
from benchmarks.files.contents import digest
from benchmarks.files.frames import Frame
from benchmarks.suites import Task
from methods.errors import check

if TYPE_CHECKING:
    from torch import Tensor

# of Point-MAE (arXiv:2203.06604), which later papers follow
_STEPS = {"epochs": 300, "batch_size": 32, "warmup_epochs": 10, "clip_grad": 10.0}
RECIPE: dict[str, object] = {**_STEPS, "drop_path": 0.1, "resample": True}


def task(*, train: int, **fields: Any) -> Task:
    """A task with the published count of training clouds, a tenth of which validates, and other fields of a Task."""
    val = round(train / 10)
    return Task(modality="points", train=train - val, val=val, **fields)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How tasks are read.

    ``find(task)`` returns the file or folder that holds a task, and raises Missing if there is none.
    ``read(place, task)`` returns its training and its test clouds, which are read once per process. Models see the
    first ``points`` of every cloud; the recipe's ``resample`` draws from all.
    """

    tasks: Mapping[str, Task]
    find: Callable[[str], Path]
    read: Callable[[Path, Task], tuple[Clouds, Clouds]]
    points: int

    def load(self, task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
        """Clouds and labels of a split; points have no ``frame``."""
        x, y = self.pool(task, split, frame=frame)
        return x[:, : self.points], y

    def pool(self, task: str, split: str, *, frame: Frame | None) -> tuple[Tensor, Tensor]:
        """The same clouds with all their points."""
        x, y = splits(self.read, self.find(task), self.tasks[task])[split]
        import torch

        return torch.from_numpy(x), torch.from_numpy(y)

    def fingerprint(self, task: str) -> str:
        """SHA-256 over the clouds and labels of all splits."""
        return fingerprint(self.read, self.find(task), self.tasks[task])


@cache
def splits(read: Callable[[Path, Task], tuple[Clouds, Clouds]], place: Path, task: Task) -> dict[str, Clouds]:
    """The three splits of a task.

    Raises:
        UserError: the number of clouds is not the published one.
    """
    train, test = read(place, task)
    found, whole = (len(train[1]), len(test[1])), task.train + task.val
    check(
        found in ((whole, task.test), (whole - task.lacking, task.test)),
        f"{place}: {task.name} has {found[0]} training and {found[1]} test clouds, not {whole} and {task.test}; "
        "get the files again",
    )
    return divided(train, test)


@cache
def fingerprint(read: Callable[[Path, Task], tuple[Clouds, Clouds]], place: Path, task: Task) -> str:
    """SHA-256 over the splits of a task, computed once per process."""
    return digest(splits(read, place, task))
