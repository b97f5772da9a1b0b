"""Shapes of drawn images: solids, strokes, and symbols that are invented. Shapes: B images of 32 x 32 pixels."""

import math
from functools import cache

import torch
from torch import Tensor

from benchmarks.pretext.draw import INVENTION, Random

SOLIDS = ("disc", "triangle", "square", "hexagon", "star4", "star5", "bar", "ring")
STROKES = ("arc", "wave", "zigzag", "loop", "spiral", "hook", "cross", "fork")
SYMBOLS = 32
KINDS = len(SOLIDS) + len(STROKES) + SYMBOLS
# a full turn divided by this number maps a kind to itself; 0: every rotation does
SYMMETRY = (0, 3, 4, 6, 4, 5, 2, 0, 1, 2, 1, 1, 1, 1, 4, 1) + (1,) * SYMBOLS
SEGMENTS = 10  # of a stroke or a symbol
LIFT = 5  # the segment of a symbol that is not drawn, between its two strokes


def distance(draw: Random, kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Values (B, 32, 32) that grow with the distance to an outline, and are negative inside.

    ``kind`` is (B, 1, 1); ``a`` and ``b`` are coordinates in which a shape reaches from -1 to 1.
    """
    outside = _solid(kind, a, b)
    pen = kind.flatten() >= len(SOLIDS)
    outside[pen] = _stroke(draw, kind.flatten()[pen] - len(SOLIDS), a[pen], b[pen])
    return outside


def _solid(kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Values that grow with the distance to a solid's outline; they are negative inside."""
    radius, angle = (a.square() + b.square()).sqrt(), torch.atan2(b, a)
    kind = kind.clamp(max=len(SOLIDS))  # strokes and symbols get another distance
    sides = torch.tensor([64, 3, 4, 6, 4, 5, 64, 64, 4], device=a.device)[kind]
    step = 2 * math.pi / sides
    folded = (angle % step) - step / 2
    polygon = radius * folded.cos() / (step / 2).cos() - 1
    sharp = torch.tensor([0, 0, 0, 0, 0.62, 0.55, 0, 0, 0], device=a.device)[kind]
    star = radius - (1 - sharp * (1 - (2 * folded / step).abs()))
    bar = torch.maximum(a.abs() - 1, b.abs() - 0.28)
    ring = (radius - 0.75).abs() - 0.22
    return torch.where(kind == 6, bar, torch.where(kind == 7, ring, torch.where(sharp > 0, star, polygon)))


def _stroke(draw: Random, kind: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Distance to a polyline through the points of a stroke figure, minus half the width of the pen."""
    points = 0.85 * (_figures(a.device)[kind] + 0.08 * draw.normal(len(kind), SEGMENTS + 1, 2))
    best = torch.full_like(a, 9.0)
    for i in range(SEGMENTS):
        start, end = points[:, i, :, None, None], points[:, i + 1, :, None, None]
        step = end - start
        along = ((a - start[:, 0]) * step[:, 0] + (b - start[:, 1]) * step[:, 1]) / (step.square().sum(1) + 1e-6)
        along = along.clamp(0, 1)
        across, down = a - start[:, 0] - along * step[:, 0], b - start[:, 1] - along * step[:, 1]
        squared = across.square() + down.square()
        if i == LIFT:
            squared = squared + 9.0 * (kind >= len(STROKES)).view(-1, 1, 1)
        best = torch.minimum(best, squared)
    return best.sqrt() - draw.uniform(0.1, 0.24, len(kind), 1, 1)


@cache
def _figures(device: torch.device) -> Tensor:
    """The polylines of all stroke kinds and symbols, (kinds, SEGMENTS + 1, 2)."""
    t = torch.linspace(0, 1, SEGMENTS + 1, device=device)
    turn = 2 * math.pi * t
    lines = {
        "arc": (torch.cos(turn * 0.5), torch.sin(turn * 0.5) - 0.4),
        "wave": (2 * t - 1, 0.6 * torch.sin(turn)),
        "zigzag": (2 * t - 1, 0.5 * (((t * 4) % 2) - 1).abs() * 2 - 0.5),
        "loop": (torch.cos(turn) * (1 - 0.3 * t), 0.9 * torch.sin(turn) + 0.5 * t.square()),
        "spiral": (t * torch.cos(2 * turn), t * torch.sin(2 * turn)),
        "hook": (
            torch.where(t < 0.5, t * 0, torch.sin(turn) * 0.8),
            torch.where(t < 0.5, 1 - 3 * t, -0.5 + 0.5 * torch.cos(turn)),
        ),
        "cross": _path(t, [(-1, 0), (1, 0), (0, 0), (0, 1), (0, -1)]),
        "fork": _path(t, [(-0.8, 1), (0, 0), (0.8, 1), (0, 0), (0, -1)]),
    }
    return torch.cat([torch.stack([torch.stack(lines[name], -1) for name in STROKES]), _symbols(device)])


@cache
def _symbols(device: torch.device) -> Tensor:
    """The polylines of the invented symbols (SYMBOLS, SEGMENTS + 1, 2): curved strokes of five and four segments."""
    generator = torch.Generator().manual_seed(INVENTION)
    control = torch.rand(SYMBOLS, 2, 3, 2, generator=generator) * 2 - 1  # start, pull and end of each stroke
    strokes = []
    for stroke, count in enumerate((LIFT + 1, SEGMENTS - LIFT)):
        t = torch.linspace(0, 1, count)[:, None]
        start, pull, end = control[:, stroke, :, None].unbind(1)
        strokes.append((1 - t) ** 2 * start + 2 * t * (1 - t) * pull * 1.6 + t**2 * end)
    points = torch.cat(strokes, 1)
    low, high = points.amin(1, keepdim=True), points.amax(1, keepdim=True)
    return ((2 * points - low - high) / (high - low).amax(2, keepdim=True)).to(device)


def _path(t: Tensor, corners: list[tuple[float, float]]) -> tuple[Tensor, Tensor]:
    points = torch.tensor(corners, device=t.device)
    place = t * (len(corners) - 1)
    low = place.long().clamp(max=len(corners) - 2)
    point = points[low] + (points[low + 1] - points[low]) * (place - low)[:, None]
    return point[:, 0], point[:, 1]
