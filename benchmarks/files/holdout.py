"""Validation samples for data sets that have none: a seeded draw from the training samples."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from methods.errors import check


def hold_out(
    labels: Sequence[int] | NDArray[np.int64], seed: int = 0, fraction: float = 0.1
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ascending indices of the samples to train on and to validate on.

    Of n samples, ``round(fraction * n)`` are held out, but at least one. Every class gives its share: shares are
    rounded down, and the classes with the largest remainders give one more. Every class keeps at least one sample.

    Raises:
        UserError: the fraction is not between 0 and 1.
    """
    check(0 < fraction < 1, f"fraction={fraction} must be above 0 and below 1")
    # numpy promises the same floats in every release, but not the same permutations
    drawn = np.random.default_rng(seed).random(len(labels))
    labels, total = np.asarray(labels), max(1, round(fraction * len(labels)))
    classes, counts = np.unique(labels, return_counts=True)
    taken = np.minimum(np.floor(fraction * counts), counts - 1).astype(int)
    order = np.argsort(taken - fraction * counts, kind="stable")
    rest = [i for i in order if taken[i] + 1 < counts[i]]
    taken[rest[: max(0, total - int(taken.sum()))]] += 1
    chosen = [np.flatnonzero(labels == one) for one in classes]
    chosen = [members[np.argsort(drawn[members], kind="stable")[:n]] for members, n in zip(chosen, taken, strict=True)]
    held = np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))
    return np.setdiff1d(np.arange(len(labels)), held), held
