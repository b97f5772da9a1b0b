"""How long a method takes on this machine, found out on a few samples."""

import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from benchmarks.advice.judging import judged_samples, lasting
from benchmarks.records.spec import Spec
from benchmarks.training.run import prepare
from benchmarks.tuning.studies import without_test

SAMPLES, BATCHES = 4, 4  # training samples of a measurement; batches of a second one, if the first was quick
QUICK = 1.0  # seconds
REPORTED = 60  # looks at one sample by which latency and operations of a finished run are measured, about


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The samples of a task: those of train and val together, those of val alone, and those of test."""

    known: int
    val: int
    test: int
    folds: int

    @property
    def held(self) -> float:
        """The samples that one training holds out."""
        return self.known / self.folds if self.folds > 1 else self.val


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds to build a model, per sample and pass of training, and per sample that is only looked at.

    ``first`` and ``more`` are the passes over the data that the first epoch and each further one mean: a method of
    several stages has more, and one whose features are computed once has no further one.
    """

    build: float
    train: float
    look: float
    first: float
    more: float

    def _training(self, samples: float, epochs: int) -> float:
        return self.build + samples * self.train * (self.first + self.more * (epochs - 1))

    def judging(self, sizes: Sizes, epochs: int, folds: int) -> float:
        """The seconds of training and judging on so many folds."""
        return folds * (self._training(sizes.known - sizes.held, epochs) + sizes.held * self.look)

    def run(self, sizes: Sizes, epochs: int) -> float:
        """The seconds of a run that trains on all samples, is tested and reported."""
        return self._training(sizes.known, epochs) + (sizes.test + REPORTED) * self.look + self.build


def measured(spec: Spec, device: torch.device) -> Cost:
    """Train one epoch on a few samples, which is not enough to learn anything."""
    data = without_test(spec)("train")
    found, seconds = _measured(spec, device, (data[0][:SAMPLES], data[1][:SAMPLES]))
    if seconds < QUICK:
        count = max(SAMPLES, BATCHES * spec.recipe.batch_size)
        found, _ = _measured(spec, device, (data[0][:count], data[1][:count]))
    return found


def _measured(spec: Spec, device: torch.device, data: tuple[Tensor, Tensor]) -> tuple[Cost, float]:
    samples = len(data[1])
    changes: dict[str, Any] = {"train_split": "train", "batch_size": max(2, min(samples // 2, spec.recipe.batch_size))}
    recipe = replace(lasting(spec.recipe, 1), **changes)
    times = [time.perf_counter()]
    trainer = prepare(replace(spec, recipe=recipe), lambda split: data, device, lambda epoch: None)
    times.append(time.perf_counter())
    trainer.model.method.fit(trainer)
    times.append(time.perf_counter())
    judged_samples(trainer, data)
    times.append(time.perf_counter())
    build, train, look = (end - start for start, end in pairwise(times))
    train += max(0.0, trainer.cache.seconds_saved) if trainer.cache is not None else 0.0
    first, second = trainer.model.method.epochs(1), trainer.model.method.epochs(2)
    cost = Cost(build=build, train=train / samples / first, look=look / samples, first=first, more=second - first)
    return cost, train
