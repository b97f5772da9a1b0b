"""What methods are judged on: the validation split or, if that is small, folds of all samples that are not for testing.

Shapes: N samples of the splits train and val together.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.suites import Task
from benchmarks.training.train import Load

FEWEST = 100  # validation samples; with fewer, one sample would be more than one percentage point
FOLDS = 3  # more would cost more: a training per fold


def folds(task: Task) -> int:
    """How many trainings judge a method: one, on the validation split, or one per fold if that split is small."""
    return FOLDS if task.val < FEWEST else 1


def numbers(labels: Tensor, seed: int) -> NDArray[np.int64]:
    """The fold (N,) of each sample. Every fold has the same share of each class, up to one sample."""
    known = labels.numpy() if labels.ndim == 1 else labels[:, 0].numpy()
    # numpy promises the same floats in every release, but not the same permutations
    order = np.lexsort((np.random.default_rng(seed).random(len(known)), known))
    found = np.empty(len(known), np.int64)
    found[order] = np.arange(len(known)) % FOLDS
    return found


def held_out(load: Load, seed: int, fold: int) -> Load:
    """A function that loads, as "val", one fold of the samples of train and val and, as "train", the others."""

    def part(split: str) -> tuple[Tensor, Tensor]:
        assert split in ("train", "val"), f"a fold was asked for the {split} split"
        (x, y), (more, labels) = load("train"), load("val")
        y = torch.cat([y, labels])
        chosen = torch.from_numpy(np.flatnonzero((numbers(y, seed) == fold) == (split == "val")))
        return torch.cat([x, more])[chosen], y[chosen]

    return part
