"""One judgement: train a configuration without the test split, and look at each sample that was held out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.advice.folds import held_out, numbers
from benchmarks.records.spec import Epoch, Recipe, Spec
from benchmarks.training.precision import autocast
from benchmarks.training.run import pool, prepare
from benchmarks.training.train import Trainer
from benchmarks.tuning.studies import without_test

OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """How good a configuration is on each sample, from 0 to 1, in the order of the data, and what it trains.

    ``params`` counts trained parameters without the head.
    """

    samples: tuple[float, ...]
    params: int

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Judged":
        return cls(samples=tuple(values["samples"]), params=values["params"])

    @property
    def mean(self) -> float:
        return sum(self.samples) / len(self.samples)


def lasting(recipe: Recipe, epochs: int) -> Recipe:
    """A recipe of so many epochs, with the same share of them for warming up."""
    return replace(recipe, epochs=epochs, warmup_epochs=recipe.warmup_epochs * epochs // recipe.epochs)


def judged(spec: Spec, device: torch.device, on_epoch: OnEpoch, *, fold: int | None) -> Judged:
    """Train ``spec`` without one fold, whose seed is that of the run, and judge that fold.

    Without a ``fold``, train on the training split and judge the validation split.
    """
    recipe = replace(spec.recipe, train_split="train", validate_every=spec.recipe.epochs)
    load, whole = without_test(spec), pool(spec)
    if fold is not None:
        load, whole = held_out(load, spec.seed, fold), whole and held_out(whole, spec.seed, fold)
    trainer = prepare(replace(spec, recipe=recipe), load, device, on_epoch, pool=whole)
    trainer.model.method.fit(trainer)
    return Judged(samples=judged_samples(trainer, load("val")), params=trainer.model.count()["method"])


def together(parts: list[Judged], spec: Spec) -> Judged:
    """The judgements of folds as one. That of all folds has its samples in the order of the data."""
    if len(parts) == 1:
        return parts[0]
    load = without_test(spec)
    fold = numbers(torch.cat([load("train")[1], load("val")[1]]), spec.seed)
    samples = np.empty(len(fold))
    for number, part in enumerate(parts):
        samples[fold == number] = part.samples
    return Judged(samples=tuple(samples.tolist()), params=parts[0].params)


@torch.inference_mode()
def judged_samples(trainer: Trainer, data: tuple[Tensor, Tensor]) -> tuple[float, ...]:
    """How good a trainer's model is on each sample, from 0 to 1."""
    model, found = trainer.model.eval(), list[Tensor]()
    for x, y in zip(*(part.split(trainer.eval_batch_size) for part in data), strict=True):
        with autocast(trainer.device, trainer.dtype):
            logits = model(x.to(trainer.device)).float()
        found.append(model.kind.judge(logits, y.to(trainer.device)).double().cpu())
    return tuple(torch.cat(found).tolist())
