"""A validation split for data that come without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from methods.options import check

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hold_out(
    labels: Sequence[int] | NDArray[Any], seed: int = 0, fraction: float = 0.1
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Indices (int64, ascending) of the samples to train on and of those to validate on, drawn class by class.

    Of each class ``fraction`` is held out, rounded, but at least one sample, and never its last one.

    Raises:
        ValueError: a fraction that is not between 0 and 1.
    """
    import numpy as np

    check(0 < fraction < 1, f"fraction={fraction} must be above 0 and below 1")
    labels = np.asarray(labels).reshape(-1)
    # floats, for numpy keeps their stream from release to release, which it does not promise for permutations
    order = np.random.default_rng(seed).random(len(labels))
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        count = min(max(1, int(len(members) * fraction + 0.5)), len(members) - 1)
        held[members[np.argsort(order[members], kind="stable")[:count]]] = True
    return np.flatnonzero(~held), np.flatnonzero(held)
