"""Farthest points: a few points of a cloud that cover it evenly.

Shapes: B clouds, N points.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cli import progress

ORIGIN = 1e-3  # squared radius within which pointnet2's kernel never picks a point
BATCH = 64  # clouds at a time, which fit into the caches of a CPU


def farthest_points(points: Tensor, count: int, *, skip_origin: bool = False) -> Tensor:
    """Indices (B, count) of points (B, N, 3). Each is the farthest from all earlier ones; the first is index 0.

    ``skip_origin`` reproduces pointnet2, which never picks points very near the origin.
    """
    batch, size, _ = points.shape
    if count == size and not skip_origin:
        return torch.arange(size, device=points.device).expand(batch, size)
    chosen = torch.zeros(batch, count, dtype=torch.long, device=points.device)
    x, y, z = points.unbind(-1)
    nearest = torch.full((batch, size), torch.inf, dtype=points.dtype, device=points.device)
    if skip_origin:
        nearest = nearest.masked_fill(points.square().sum(-1) <= ORIGIN, -1.0)
    for i in range(count - 1):
        last = chosen[:, i : i + 1]
        distance = (x - x.gather(1, last)).square_()
        distance += (y - y.gather(1, last)).square_()
        distance += (z - z.gather(1, last)).square_()
        nearest = torch.minimum(nearest, distance)
        chosen[:, i + 1] = nearest.argmax(dim=1)
    return chosen


def farthest_first(clouds: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Clouds (B, N, 3) with ``count`` farthest points first, as pointnet2 picks them; the others keep their order."""
    parts = [torch.from_numpy(clouds[i : i + BATCH]) for i in range(0, len(clouds), BATCH)]
    with progress() as bar:
        return torch.cat([_first(part, count) for part in bar.track(parts, description="farthest points")]).numpy()


def _first(points: Tensor, count: int) -> Tensor:
    picked = farthest_points(points, count, skip_origin=True)
    rank = torch.full(points.shape[:2], count)
    # a point that is picked twice, because too few are away from the origin, keeps its last rank
    order = rank.scatter_(1, picked, torch.arange(count).expand_as(picked)).argsort(dim=1, stable=True)
    return points.gather(1, order[..., None].expand_as(points))
