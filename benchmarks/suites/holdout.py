"""Validation samples for data sets that come without any: held out of the training samples by a seeded draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def hold_out(
    labels: NDArray[np.int64], seed: int = 0, fraction: float = 0.1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending indices to train on and to validate on, ``round(fraction * n)`` of n samples, balanced over classes.

    Every class gives its share, rounded up where the share has the largest remainders, and keeps one sample at least.
    """
    rng = np.random.default_rng(seed)
    total = round(fraction * len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    taken = np.minimum(np.floor(fraction * counts), counts - 1).astype(int)
    order = np.argsort(taken - fraction * counts, kind="stable")
    rest = [i for i in order if taken[i] + 1 < counts[i]]
    taken[rest[: max(0, total - int(taken.sum()))]] += 1
    chosen = [rng.permutation(np.flatnonzero(labels == one))[:count] for one, count in zip(classes, taken, strict=True)]
    held = np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))
    return np.setdiff1d(np.arange(len(labels)), held), held
