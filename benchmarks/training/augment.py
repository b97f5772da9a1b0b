"""Random changes of point clouds: augmentation in training, and the scaled copies that vote in a test."""

import math

import torch
from torch import Tensor

KEEP_DISTANCES = ("none", "rotate")  # these keep the neighbours of every point


def augment(x: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Augment a batch of point clouds (B, ..., 3), each in its own way.

    "none" changes nothing. "rotate" turns each cloud by a random angle about the y axis. "scale_translate" scales each
    axis by a factor from 2/3 to 3/2 and shifts it by -0.2 to 0.2.
    """
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
    """Random factors (B, 1, 3) from 2/3 to 3/2 for the clouds (B, N, 3): one per axis of each cloud."""
    return (2 / 3 + (3 / 2 - 2 / 3) * torch.rand(len(x), 1, 3, generator=generator)).to(x.device)
