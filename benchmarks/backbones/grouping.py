"""Groups of neighbouring points around centres that cover the cloud evenly.

Shapes: B clouds, N points, G groups of K points.
"""

import torch
from torch import Tensor

from methods.errors import UserError

ORIGIN = 1e-3  # squared radius within which pointnet2's kernel never picks a point


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


def group(points: Tensor, groups: int, size: int, *, skip_origin: bool = False) -> tuple[Tensor, Tensor]:
    """The neighbourhoods of ``nearest`` (B, G, K, 3) relative to their centres, and the centres (B, G, 3)."""
    neighbors, centers = nearest(points, groups, size, skip_origin=skip_origin)
    return neighbors - centers[:, :, None], centers


def nearest(points: Tensor, groups: int, size: int, *, skip_origin: bool = False) -> tuple[Tensor, Tensor]:
    """The K points (B, G, K, 3) nearest to each centre, and the centres (B, G, 3), which are farthest points.

    Raises:
        UserError: the clouds have fewer points than there are groups, or than a group has.
    """
    if points.shape[1] < (needed := max(groups, size)):
        has = f"the clouds have {points.shape[1]} points each"
        raise UserError(f"{has}, but this backbone needs at least {needed} ({groups} groups of {size} points)")
    index = farthest_points(points, groups, skip_origin=skip_origin)
    centers = points.gather(1, index[..., None].expand(-1, -1, 3))
    near = torch.cdist(centers, points, compute_mode="donot_use_mm_for_euclid_dist").topk(size, largest=False).indices
    flat = near.flatten(1)[..., None].expand(-1, -1, 3)
    return points.gather(1, flat).unflatten(1, (groups, size)), centers
