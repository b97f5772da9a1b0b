"""Writes the names of points where they cover no mark, no line and no other name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import cos, hypot, pi, sin
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from benchmarks.figures.drawing import plain

Box = NDArray[np.float64]  # left, bottom, right, top in pixels
Spot = tuple[float, float]  # in the units of the axis
Line = tuple[Spot, Spot]
DISTANCES = (5, 12, 20, 30, 42, 56, 72, 90, 110, 135, 165, 200, 240, 290, 350)  # pixels between a mark and its name
ANGLES = tuple(step * pi / 8 for step in (0, 8, 4, 12, 2, 6, 10, 14, 1, 7, 3, 5, 9, 11, 13, 15))
JOINED = 14  # from this distance on, a line joins a mark and its name
UPRIGHT = 0.1  # below this cosine, a line would look like an interval
MARK, LINE, AIR = 5.0, 1.5, 1.5  # pixels around the middle of a mark and of a line, and around a name
LEADER: dict[str, Any] = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4}
LOOK: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8.5}


@dataclass(frozen=True)
class Name:
    """A text, the point that it names, and its color."""

    text: str
    spot: Spot
    color: str


def write(axis: Axes, names: Sequence[Name], marks: Sequence[Spot], lines: Sequence[Line]) -> None:
    """Write every name. The first ones choose their places first; the limits of the axis must be set.

    Names keep off ``marks``, off straight ``lines`` from spot to spot, and off the texts that the axis already has.
    """
    pixel = axis.transData.transform
    taken = [_grown(pixel(spot), pixel(spot), MARK) for spot in marks]
    taken += [_grown(pixel(start), pixel(end), LINE) for start, end in lines]
    taken += [np.array(text.get_window_extent().extents) for text in axis.texts]
    written: list[Box] = []
    for name in names:
        at, size = pixel(name.spot), _size(axis, plain(name.text))
        middle, far = _free(at, size, taken, written, np.array(axis.bbox.extents))
        written.append(_grown(middle - size / 2, middle + size / 2, AIR))
        if far >= JOINED:
            taken += _leader(at, middle, written[-1])
        shift = tuple((middle - at) * 72 / axis.figure.dpi)  # pixels to points, which do not change with the resolution
        joined = LEADER if far >= JOINED else None
        axis.annotate(
            plain(name.text), name.spot, shift, textcoords="offset points", color=name.color, arrowprops=joined, **LOOK
        )


def _size(axis: Axes, text: str) -> NDArray[np.float64]:
    drawn = axis.text(0, 0, text, **LOOK)
    extent = drawn.get_window_extent()
    drawn.remove()
    return np.array([extent.width, extent.height])


def _free(
    at: NDArray[np.float64], size: NDArray[np.float64], taken: Sequence[Box], written: Sequence[Box], inside: Box
) -> tuple[NDArray[np.float64], float]:
    """Return the nearest free middle of a name, and its distance from the mark; beside the mark if nothing is free."""
    for far, angle in product(DISTANCES, ANGLES):
        if far >= JOINED and abs(cos(angle)) < UPRIGHT:
            continue
        middle = at + np.array([cos(angle), sin(angle)]) * (far + size / 2)
        box = _grown(middle - size / 2, middle + size / 2, AIR)
        within = (box[:2] >= inside[:2]).all() and (box[2:] <= inside[2:]).all()
        line = _leader(at, middle, box) if far >= JOINED else []
        if within and not _touches(box, [*taken, *written]) and not any(_touches(part, written) for part in line):
            return middle, far
    return at + np.array([1, 0]) * (DISTANCES[0] + size / 2), DISTANCES[0]


def _leader(at: NDArray[np.float64], middle: NDArray[np.float64], box: Box) -> list[Box]:
    """Cut the line from a mark to the middle of its name into small boxes, without those in the name."""
    steps = np.linspace(0, 1, int(hypot(*(middle - at)) / 4) + 2)[1:, None]
    parts = (_grown(spot, spot, 1.0) for spot in at + steps * (middle - at))
    return [part for part in parts if not _touches(part, [box])]


def _grown(low: NDArray[np.float64], high: NDArray[np.float64], by: float) -> Box:
    return np.concatenate([np.minimum(low, high) - by, np.maximum(low, high) + by])


def _touches(box: Box, others: Sequence[Box]) -> bool:
    if not others:
        return False
    all_ = np.asarray(others)
    return bool(((box[:2] < all_[:, 2:]) & (all_[:, :2] < box[2:])).all(axis=1).any())
