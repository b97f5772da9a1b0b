"""Random changes of point clouds: augmentation in training, and the scaled copies that vote in a test.

Shapes: B clouds, P points.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.files.farthest import farthest_points

POOL = 75 / 64  # a step draws 1,024 of 1,200 farthest points, or 2,048 of 2,400
KEEP_DISTANCES = ("none", "rotate")  # these keep the neighbours of every point


def augment(x: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Augment a batch of point clouds (B, ..., 3), each in its own way.

    "none" changes nothing. "rotate" turns each cloud by a random angle about the y axis. "scale_translate" scales each
    axis by a factor from 2/3 to 3/2 and shifts it by -0.2 to 0.2. "scale_shift" scales all axes by one factor from 0.8
    to 1.25 and shifts each by -0.1 to 0.1, as PointNet++'s provider.py. Numbers of a point after its coordinates stay.
    """
    if how == "none":
        return x
    if x.shape[-1] > 3:
        return torch.cat([augment(x[..., :3], how, generator), x[..., 3:]], dim=-1)
    if how == "scale_shift":
        size, shift = (torch.rand(len(x), 1, axes, generator=generator).to(x.device) for axes in (1, 3))
        return x * (0.8 + 0.45 * size) + (0.2 * shift - 0.1)
    if how == "rotate":
        angle = torch.rand(len(x), generator=generator).to(x.device) * (2 * math.pi)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        rotation = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=1).view(-1, 3, 3)
        return (x.flatten(1, -2) @ rotation).view_as(x)
    scale = random_scale(x, generator)
    shift = 0.4 * torch.rand(len(x), 1, 3, generator=generator) - 0.2
    return x * scale + shift.to(x.device)


def resample(x: Tensor, points: int, generator: torch.Generator) -> Tensor:
    """Some ``points`` of clouds (B, P, 3) in a random order, drawn anew in every step: (B, ``points``, 3).

    The points of a cloud are shuffled, farthest points are picked from the first on, and the step draws from these. Of
    clouds with fewer than 75/64 times as many points as a step needs, it draws from all. As in the authors' code of
    Point-BERT (tools/runner_BERT_finetune.py at 980c1e8), from which later papers took it.
    """
    order = torch.rand(x.shape[:2], generator=generator).argsort(dim=1).to(x.device)
    x, pool = _picked(x, order), min(x.shape[1], int(points * POOL))
    if pool < x.shape[1]:
        x = _picked(x, farthest_points(x, pool, skip_origin=True))
    return x[:, torch.randperm(pool, generator=generator)[:points].to(x.device)]


def _picked(x: Tensor, index: Tensor) -> Tensor:
    return x.gather(1, index[..., None].expand(-1, -1, 3))


def random_scale(x: Tensor, generator: torch.Generator) -> Tensor:
    """Random factors (B, 1, C) from 2/3 to 3/2 for the clouds (B, N, C), one per axis; what follows the axes has 1."""
    factors = 2 / 3 + (3 / 2 - 2 / 3) * torch.rand(len(x), 1, 3, generator=generator)
    return F.pad(factors, (0, x.shape[-1] - 3), value=1.0).to(x.device)
