"""How long a run will train: as recorded runs of its kind did, or as a few batches of it say."""

import dataclasses
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import backbones, suites
from benchmarks.executors.schedule import Kind, kind, kind_of
from benchmarks.records import store
from benchmarks.records.spec import Recipe, Spec
from benchmarks.sweeps import wiring
from benchmarks.training import memory, model
from benchmarks.training.environment import device_name
from benchmarks.training.model import Classifier
from benchmarks.training.train import Trainer
from methods.errors import UserError, check

FEW = 4  # training samples of the first measurement
SLOW = 0.02  # seconds per sample; below this, whole batches are measured
BATCHES = 2  # training batches of each measurement
ONE_EPOCH = {"epochs": 1, "warmup_epochs": 0, "checkpoint_rule": "last", "train_split": "trainval"}
POINTS = 2048  # points per random cloud, which is used if the data are missing


class Estimates:
    """The training times of runs on a device.

    An epoch of a kind of run is measured once, and only if no record tells the time of the kind.
    """

    def __init__(self, results: Path, device: torch.device) -> None:
        self._device, self._known = device, _recorded(results, device)
        self._epochs: dict[Kind, float] = {}  # seconds per sample; kinds that differ in the number of epochs are one

    def seconds(self, spec: Spec) -> float:
        """Return the training time of a run, with all stages of its method.

        Raises:
            UserError: memory ran out.
        """
        if kind(spec) not in self._known:
            self._known[kind(spec)] = self._epoch(spec) * _passes(spec)
        return self._known[kind(spec)] * _samples(spec.suite, spec.task, spec.recipe.train_split)

    def _epoch(self, spec: Spec) -> float:
        epoch = kind(dataclasses.replace(spec, recipe=_one_epoch(spec.recipe)))
        if epoch not in self._epochs:
            self._epochs[epoch] = _measured(spec, self._device)
        return self._epochs[epoch]


def _recorded(results: Path, device: torch.device) -> dict[Kind, float]:
    """Return the median seconds per training sample of each kind of run that has records on such a device."""
    times: dict[Kind, list[float]] = defaultdict(list)
    for record in store.each(results):
        spec = record["spec"]
        if not _same_device(record["environment"], device):
            continue
        try:
            samples = _samples(spec["suite"], spec["task"], spec["recipe"]["train_split"])
        except (UserError, KeyError):  # the suite is not installed, or has no such task any more
            continue
        times[kind_of(spec)].append(record["cost"]["train_seconds"] / samples)
    return {known: statistics.median(seconds) for known, seconds in times.items()}


def _same_device(environment: Mapping[str, Any], device: torch.device) -> bool:
    """Whether a run was on such a device: on any CPU, or on a GPU of the same name."""
    name = str(environment.get("device") or "cpu")
    return name.startswith("cpu") if device.type == "cpu" else name == device_name(device)


def _samples(suite: str, task: str, train_split: str) -> int:
    known = suites.get(suite).tasks[task]
    return known.train + (known.val if train_split == "trainval" else 0)


def _passes(spec: Spec) -> float:
    return wiring.passes(spec.backbone.name, spec.method, spec.config, spec.recipe.epochs)


def _one_epoch(recipe: Recipe) -> Recipe:
    """A recipe of one epoch that trains at the same pace."""
    return dataclasses.replace(recipe, **ONE_EPOCH)  # type: ignore[arg-type]


def _measured(spec: Spec, device: torch.device) -> float:
    """Measure a few training samples, on random weights. Returns the seconds per sample of one epoch."""
    try:
        tuned = model.build(spec, pretrained=False)
        seconds = _seconds_per_sample(tuned, spec, device, FEW)
        if seconds < SLOW:
            there = _samples(spec.suite, spec.task, spec.recipe.train_split)
            seconds = _seconds_per_sample(tuned, spec, device, min(BATCHES * spec.recipe.batch_size, max(FEW, there)))
    except (RuntimeError, MemoryError) as error:
        check(not memory.ran_out(error), f"{spec}: {memory.told(error)}; give a smaller batch_size or smaller options")
        raise
    return seconds


def _seconds_per_sample(tuned: Classifier, spec: Spec, device: torch.device, samples: int) -> float:
    """The time per sample in an epoch of training on ``samples`` samples, whose values do not change it."""
    recipe = dataclasses.replace(_one_epoch(spec.recipe), batch_size=min(spec.recipe.batch_size, samples // BATCHES))
    x, y = _inputs(spec, samples)
    halves = dict(zip(("train", "val"), zip(x.chunk(2), y.chunk(2), strict=True), strict=True))
    dtype: torch.dtype = getattr(torch, spec.dtype)
    trainer = Trainer(tuned, recipe, halves.__getitem__, seed=spec.seed, device=device, dtype=dtype)
    trainer.train()  # not timed: the first steps of a process are slower
    start = time.perf_counter()
    trainer.train()
    return (time.perf_counter() - start) / len(trainer.x)


def _inputs(spec: Spec, count: int) -> tuple[Tensor, Tensor]:
    """Random images, because decoding takes long; clouds of the suite, or random clouds if its data are missing."""
    size, y = spec.backbone.image_size, torch.arange(count) % spec.classes
    if size is not None:
        return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8), y
    if spec.data_fingerprint == backbones.ABSENT:
        per_point = suites.get(spec.suite).tasks[spec.task].kind.per_point  # the fourth number, a category, is then 0
        return torch.rand(count, POINTS, 3 + per_point), torch.zeros(count, POINTS).long() if per_point else y
    x, y = suites.get(spec.suite).of_seed(spec.seed).load(spec.task, "train", frame=None)
    return x[:count], y[:count]


def has_weights(spec: Spec) -> bool:
    """Whether the weights of a run's backbone are on this machine."""
    return spec.backbone.sha256 != backbones.ABSENT
