"""The coordinates of point clouds: how float32 is made of what a file holds, and what is told of them.

Shapes: N clouds, P points.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods.errors import check

Cast = Callable[[Path, NDArray[Any]], NDArray[Any]]
LARGEST = 1e100  # of a cloud's values; the square of a larger one may be beyond the range of float64


def as_stored(path: Path, points: NDArray[Any]) -> NDArray[Any]:
    """Clouds in the type of their file."""
    return points


def single(path: Path, points: NDArray[Any]) -> NDArray[np.float32]:
    """Clouds (N, P, 3) as they are.

    Raises:
        UserError: a value is beyond the range of float32; the message names ``path``.
    """
    with np.errstate(over="ignore"):
        cast = points.astype(np.float32, copy=False)
    large = ~np.isfinite(cast).all(axis=(1, 2))
    check(not large.any(), f"{path}: cloud {int(large.argmax())} has values beyond the range of float32")
    return cast


def in_unit_sphere(path: Path, points: NDArray[Any]) -> NDArray[np.float32]:
    """Clouds (N, P, 3), each centred and scaled so that its farthest point lies on the unit sphere.

    This is computed in float64: float32 would round map coordinates and millimetres before they are centred.

    Raises:
        UserError: a cloud has all its points in one place, or values too large to scale; the message names ``path``.
    """
    unit = np.empty(points.shape, np.float32)
    for number, cloud in enumerate(points):
        moved = cloud.astype(np.float64)
        largest = float(np.abs(moved).max())
        check(largest < LARGEST, f"{path}: cloud {number} has the value {largest:.1e}; give values below {LARGEST:.0e}")
        check(bool((moved != moved[0]).any()), f"{path}: cloud {number} has all its points in one place")
        moved -= moved.mean(axis=0)
        unit[number] = moved / np.sqrt(np.square(moved).sum(axis=1).max())
    return unit


def told(split: str, points: NDArray[Any]) -> list[str]:
    """Lines on the coordinates of a split (N, P, 3) as its files hold them: ranges, overflow, points at the origin."""
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    ranges = ", ".join(f"{axis} from {a:.6g} to {b:.6g}" for axis, a, b in zip("xyz", low, high, strict=True))
    lines = [f"{split}: {points.shape[1]} points, {ranges}"]
    wide = np.flatnonzero((np.abs(points.astype(np.float64)) > np.finfo(np.float32).max).any(axis=(1, 2)))
    if len(wide):
        lines.append(
            f"{split}: {len(wide)} clouds have values beyond the range of float32, the first is cloud {wide[0]}"
        )
    zeros = (points == 0).all(axis=2).sum(axis=1)
    if (zeros > 1).any():
        most, share = int(zeros.argmax()), zeros.max() / points.shape[1]
        padded = f"{(zeros > 1).sum()} clouds have several points at the origin (0, 0, 0), as padding has"
        lines.append(f"{split}: {padded}; of cloud {most} they are {share:.0%}")
    return lines
