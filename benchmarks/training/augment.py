"""Random changes of point clouds (B, ..., 3): while training, and of the copies that vote in a test."""

from __future__ import annotations

import math

import torch
from torch import Tensor

KEEP_DISTANCES = ("none", "rotate")  # the points nearest to each other stay the nearest


def augment(x: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Augment a batch of points (B, ..., 3): rotation about y, or scale in 2/3..3/2 and shift in +-0.2 per axis."""
    if how == "none":
        return x
    if how == "rotate":
        angle = torch.rand(len(x), generator=generator).to(x.device) * (2 * math.pi)
        cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
        rotation = torch.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], dim=1).view(-1, 3, 3)
        return (x.flatten(1, -2) @ rotation).view_as(x)
    scale = random_scale(x, generator)
    shift = 0.4 * torch.rand(len(x), 1, 3, generator=generator) - 0.2
    return x * scale + shift.to(x.device)


def random_scale(x: Tensor, generator: torch.Generator) -> Tensor:
    """One factor in 2/3..3/2 for every axis of every cloud of (B, N, 3): (B, 1, 3)."""
    return (2 / 3 + (3 / 2 - 2 / 3) * torch.rand(len(x), 1, 3, generator=generator)).to(x.device)
