"""Groups of neighbouring points around centres that cover the cloud evenly.

Shapes: B clouds, N points, G groups of K points.
"""

import torch
from torch import Tensor

from benchmarks.files.farthest import farthest_points
from methods.errors import UserError

EXACT = "donot_use_mm_for_euclid_dist"  # differences, not products, which round more


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
    fixed = points.detach()  # the choice has no gradient
    index = farthest_points(fixed, groups, skip_origin=skip_origin)[..., None].expand(-1, -1, 3)
    centers = points.gather(1, index)
    near = torch.cdist(fixed.gather(1, index), fixed, compute_mode=EXACT).topk(size, largest=False).indices
    flat = near.flatten(1)[..., None].expand(-1, -1, 3)
    return points.gather(1, flat).unflatten(1, (groups, size)), centers


def chain(centers: Tensor) -> Tensor:
    """The order (B, G) of centres (B, G, 3) that begins with the first and goes on to the nearest that is left."""
    distance = torch.cdist(centers, centers, compute_mode=EXACT).detach()
    clouds = torch.arange(centers.shape[0], device=centers.device)
    order = [torch.zeros_like(clouds)]
    for _ in range(centers.shape[1] - 1):
        distance[clouds, :, order[-1]] = torch.inf
        order.append(distance[clouds, order[-1]].argmin(dim=1))
    return torch.stack(order, dim=1)
