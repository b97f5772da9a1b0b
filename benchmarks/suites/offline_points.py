"""The point tasks of the offline suite: things built of boxes and frusta, clean or as a scanner sees them.

Each task maps split sizes to float32 (N, 256, 3) in the unit sphere, y up, and int64 (N,), class-balanced.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.suites.offline_images import Array, Split, balanced

Data = tuple[NDArray[np.float32], NDArray[np.int64]]
Rng = np.random.Generator

POINTS = 256
GRID = 1e-4  # coordinates are rounded to this, so that the bytes are the same on every machine

# A part is a box (centre, sizes) or a frustum (centre of its foot, height, lower and upper radius), with an area.
Part = tuple[float, Callable[[Rng, int], Array]]


def box(center: tuple[float, float, float], size: tuple[float, float, float]) -> Part:
    """The surface of an axis-aligned box."""
    a, b, c = size
    areas = np.array([b * c, a * c, a * b])

    def sample(rng: Rng, count: int) -> Array:
        points = rng.uniform(-0.5, 0.5, (count, 3))
        axis = rng.choice(3, count, p=areas / areas.sum())
        points[np.arange(count), axis] = rng.integers(0, 2, count) - 0.5
        return points * size + center

    return 2 * float(areas.sum()), sample


def frustum(foot: tuple[float, float, float], height: float, lower: float, upper: float) -> Part:
    """The side and the larger end of an upright cone or cylinder."""
    side, cap = np.pi * (lower + upper) * np.hypot(height, lower - upper), np.pi * max(lower, upper) ** 2

    def sample(rng: Rng, count: int) -> Array:
        on_cap = rng.uniform(size=count) < cap / (side + cap)
        t = np.where(on_cap, float(upper > lower), rng.uniform(size=count))
        radius = (lower + (upper - lower) * t) * np.where(on_cap, np.sqrt(rng.uniform(size=count)), 1.0)
        angle = rng.uniform(0, 2 * np.pi, count)
        return np.stack([radius * np.cos(angle), height * t, radius * np.sin(angle)], -1) + foot

    return float(side + cap), sample


def _seat(rng: Rng, x: float, z: float, height: float, legs: float) -> list[Part]:
    corners = [(sx * (x - legs), height / 2, sz * (z - legs)) for sx in (-1, 1) for sz in (-1, 1)]
    seat = box((0, height, 0), (2 * x, rng.uniform(0.08, 0.14), 2 * z))
    return [seat, *(box(corner, (legs, height, legs)) for corner in corners)]


def table(rng: Rng) -> list[Part]:
    return _seat(rng, rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.8), rng.uniform(0.06, 0.14))


def desk(rng: Rng) -> list[Part]:
    x, z, height = rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.6), rng.uniform(0.5, 0.8)
    sides = [box((s * x, height / 2, 0), (0.08, height, 2 * z)) for s in (-1, 1)]
    return [box((0, height, 0), (2 * x, 0.1, 2 * z)), *sides]


def pedestal_table(rng: Rng) -> list[Part]:
    x, height, foot = rng.uniform(0.5, 0.8), rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.4)
    post = frustum((0, 0, 0), height, rng.uniform(0.07, 0.14), 0.08)
    top = box((0, height, 0), (2 * x, 0.1, 2 * x * rng.uniform(0.7, 1)))
    return [top, post, box((0, 0, 0), (2 * foot, 0.08, 2 * foot))]


def stool(rng: Rng) -> list[Part]:
    x = rng.uniform(0.3, 0.45)
    return _seat(rng, x, x, rng.uniform(0.6, 1.0), rng.uniform(0.06, 0.12))


def chair(rng: Rng) -> list[Part]:
    x, seat, back = rng.uniform(0.38, 0.55), rng.uniform(0.45, 0.65), rng.uniform(0.4, 0.9)
    return [*_seat(rng, x, x, seat, rng.uniform(0.06, 0.12)), box((-x, seat + back / 2, 0), (0.1, back, 2 * x))]


def armchair(rng: Rng) -> list[Part]:
    x, seat, back, arm = rng.uniform(0.38, 0.55), rng.uniform(0.45, 0.65), rng.uniform(0.4, 0.9), rng.uniform(0.2, 0.3)
    arms = [box((0, seat + arm, s * x), (2 * x, 0.08, 0.1)) for s in (-1, 1)]
    return [*_seat(rng, x, x, seat, rng.uniform(0.06, 0.12)), box((-x, seat + back / 2, 0), (0.1, back, 2 * x)), *arms]


def sofa(rng: Rng) -> list[Part]:
    z, seat, back = rng.uniform(0.8, 1.2), rng.uniform(0.3, 0.4), rng.uniform(0.4, 0.6)
    arms = [box((0, seat, s * z), (0.8, rng.uniform(0.5, 0.7), 0.15)) for s in (-1, 1)]
    return [box((0, seat / 2, 0), (0.8, seat, 2 * z)), box((-0.4, back, 0), (0.15, 2 * back, 2 * z)), *arms]


def bench(rng: Rng) -> list[Part]:
    z, seat, back = rng.uniform(0.8, 1.2), rng.uniform(0.4, 0.5), rng.uniform(0.35, 0.6)
    return [*_seat(rng, 0.35, z, seat, rng.uniform(0.06, 0.12)), box((-0.35, seat + back / 2, 0), (0.08, back, 2 * z))]


def bed(rng: Rng) -> list[Part]:
    z, height, head = rng.uniform(0.5, 0.75), rng.uniform(0.25, 0.35), rng.uniform(0.5, 0.8)
    return [*_seat(rng, rng.uniform(0.9, 1.1), z, height, 0.1), box((-1.0, head / 2, 0), (0.1, head, 2 * z))]


def shelf(rng: Rng) -> list[Part]:
    x, z, height = rng.uniform(0.45, 0.7), rng.uniform(0.15, 0.3), rng.uniform(1.2, 1.8)
    boards = int(rng.integers(4, 7))
    sides = [box((s * x, height / 2, 0), (0.06, height, 2 * z)) for s in (-1, 1)]
    return [*sides, *[box((0, float(y), 0), (2 * x, 0.06, 2 * z)) for y in np.linspace(0, height, boards)]]


def wardrobe(rng: Rng) -> list[Part]:
    x, z, height = rng.uniform(0.45, 0.7), rng.uniform(0.2, 0.35), rng.uniform(1.2, 1.8)
    return [box((0, height / 2, 0), (2 * x, height, 2 * z)), box((0, height / 2, z), (0.05, height, 0.05))]


def ladder(rng: Rng) -> list[Part]:
    width, height, rungs = rng.uniform(0.3, 0.5), rng.uniform(1.3, 2.0), int(rng.integers(4, 8))
    rails = [box((s * width, height / 2, 0), (0.08, height, 0.08)) for s in (-1, 1)]
    return [*rails, *[box((0, float(y), 0), (2 * width, 0.07, 0.07)) for y in np.linspace(0.1, 0.9, rungs) * height]]


def stairs(rng: Rng) -> list[Part]:
    steps, depth, rise = int(rng.integers(3, 6)), rng.uniform(0.25, 0.4), rng.uniform(0.2, 0.35)
    width = rng.uniform(0.5, 1.0)
    return [box((k * depth, (k + 1) * rise / 2, 0), (depth, (k + 1) * rise, width)) for k in range(steps)]


def floor_lamp(rng: Rng) -> list[Part]:
    height, shade, foot = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.5), rng.uniform(0.2, 0.4)
    cover = frustum((0, height - 0.1, 0), rng.uniform(0.3, 0.5), shade, shade * rng.uniform(0.4, 0.8))
    return [frustum((0, 0, 0), 0.08, foot, foot), frustum((0, 0, 0), height, 0.05, 0.05), cover]


def desk_lamp(rng: Rng) -> list[Part]:
    height, reach = rng.uniform(0.8, 1.3), rng.uniform(0.4, 0.7)
    shade, foot = rng.uniform(0.2, 0.35), rng.uniform(0.25, 0.4)
    arm = box((reach / 2, height, 0), (reach, 0.07, 0.07))
    cover = frustum((reach, height - 0.3, 0), 0.3, shade, shade * 0.4)
    return [frustum((0, 0, 0), 0.08, foot, foot), frustum((0, 0, 0), height, 0.05, 0.05), arm, cover]


def bottle(rng: Rng) -> list[Part]:
    radius, height, neck = rng.uniform(0.25, 0.4), rng.uniform(0.7, 1.1), rng.uniform(0.08, 0.14)
    shoulder = rng.uniform(0.15, 0.35)
    top = frustum((0, height + shoulder, 0), rng.uniform(0.2, 0.45), neck, neck)
    return [frustum((0, 0, 0), height, radius, radius), frustum((0, height, 0), shoulder, radius, neck), top]


def vase(rng: Rng) -> list[Part]:
    foot, belly, lip = rng.uniform(0.15, 0.25), rng.uniform(0.35, 0.5), rng.uniform(0.15, 0.3)
    low, high = rng.uniform(0.4, 0.7), rng.uniform(0.4, 0.7)
    return [frustum((0, 0, 0), low, foot, belly), frustum((0, low, 0), high, belly, lip)]


def mug(rng: Rng) -> list[Part]:
    radius, height = rng.uniform(0.4, 0.55), rng.uniform(0.8, 1.1)
    reach, thick = radius + rng.uniform(0.2, 0.35), 0.1
    bars = [box(((reach + radius) / 2, y * height, 0), (reach - radius, thick, thick)) for y in (0.25, 0.75)]
    return [frustum((0, 0, 0), height, radius, radius), *bars, box((reach, height / 2, 0), (thick, height / 2, thick))]


def bucket(rng: Rng) -> list[Part]:
    radius, height = rng.uniform(0.3, 0.45), rng.uniform(0.7, 1.1)
    return [frustum((0, 0, 0), height, radius, radius * rng.uniform(1.1, 1.4))]


def airplane(rng: Rng) -> list[Part]:
    length, span, place = rng.uniform(0.9, 1.2), rng.uniform(0.8, 1.2), rng.uniform(-0.1, 0.3)
    fin, tail = box((-length * 0.9, 0.25, 0), (0.22, 0.4, 0.05)), box((-length * 0.9, 0.05, 0), (0.2, 0.04, span * 0.7))
    wing = box((place, 0, 0), (rng.uniform(0.2, 0.35), 0.05, 2 * span))
    return [box((0, 0, 0), (2 * length, 0.2, 0.2)), wing, fin, tail]


_FURNITURE = (table, desk, pedestal_table, stool, chair, armchair, sofa, bench, bed, shelf, wardrobe)
_KINDS = (*_FURNITURE, ladder, stairs, floor_lamp, desk_lamp, bottle, vase, mug, bucket, airplane)
SOLIDS: dict[str, Callable[[Rng], list[Part]]] = {kind.__name__: kind for kind in _KINDS}


def solids(sizes: Split) -> Data:
    """Whole things, each class with random proportions, turned about the upright axis."""
    rng = np.random.default_rng(201)
    return _build(sizes, rng, lambda kind: _turned(rng, _surface(rng, kind, POINTS), 0.0))


def solids_hard(sizes: Split) -> Data:
    """The same things tilted, cut away, noisy and off centre, with a piece of floor, wall or neighbour."""
    rng = np.random.default_rng(202)
    return _build(sizes, rng, lambda kind: _scanned(rng, kind))


def _build(sizes: Split, rng: Rng, cloud: Callable[[Callable[[Rng], list[Part]]], Array]) -> Data:
    labels = balanced(sizes, len(SOLIDS), rng)
    makers = list(SOLIDS.values())
    points = np.stack([cloud(makers[label]) for label in labels])
    points -= points.mean(1, keepdims=True)
    points /= np.linalg.norm(points, axis=-1).max(1)[:, None, None]
    return (np.round(points / GRID) * GRID).astype(np.float32), labels


def _surface(rng: Rng, kind: Callable[[Rng], list[Part]], count: int) -> Array:
    """Points on a thing, evenly by area, stretched along each axis."""
    parts = kind(rng)
    areas = np.array([area for area, _ in parts])
    counts = rng.multinomial(count, areas / areas.sum())
    points = np.concatenate([sample(rng, int(n)) for (_, sample), n in zip(parts, counts, strict=True)])
    return rng.permutation(points) * rng.uniform(0.5, 1.5, 3)


def _turned(rng: Rng, points: Array, tilt: float) -> Array:
    """Rotated about y by any angle, and about x and z by up to ``tilt`` radians."""
    angles = (rng.uniform(-tilt, tilt), rng.uniform(0, 2 * np.pi), rng.uniform(-tilt, tilt))
    for (a, b), angle in zip(((1, 2), (0, 2), (0, 1)), angles, strict=True):
        cos, sin = np.cos(angle), np.sin(angle)
        first, second = points[:, a].copy(), points[:, b].copy()
        points[:, a], points[:, b] = cos * first - sin * second, sin * first + cos * second
    return points


def _scanned(rng: Rng, kind: Callable[[Rng], list[Part]]) -> Array:
    background = int(rng.integers(20, 80))
    points = _turned(rng, _surface(rng, kind, 2 * POINTS), 0.25)
    points -= points.mean(0)
    side = rng.normal(size=3)
    depth = points @ (side / np.linalg.norm(side))
    kept = points[depth <= np.quantile(depth, rng.uniform(0.6, 0.9))][: POINTS - background]
    stray = _stray(rng, points, POINTS - len(kept))
    return np.concatenate([kept, stray]) + rng.normal(0, rng.uniform(0.01, 0.04), (POINTS, 3))


def _stray(rng: Rng, points: Array, count: int) -> Array:
    """Points on a piece of floor, on a piece of wall, or on a box close by."""
    low, high = points.min(0), points.max(0)
    patch = rng.uniform(low - 0.2, high + 0.2, (count, 3))
    which = rng.integers(3)
    if which == 0:
        patch[:, 1] = low[1]
    elif which == 1:
        patch[:, 2] = low[2] - 0.1
    else:
        _, sample = box((high[0] + 0.3, 0, 0), (0.3, rng.uniform(0.5, 1.2), 0.6))
        patch = sample(rng, count)
    return patch


TASKS: dict[str, Callable[[Split], Data]] = {"solids": solids, "solids_hard": solids_hard}
