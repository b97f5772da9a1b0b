"""A small network that moves the points of a cloud, and says what its shape is (Ai et al. 2025, arXiv:2505.04119).

Shapes: B clouds, N points, G centres, S sub-centres, K neighbours, C channels.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.backbone import Points
from methods.parts.geometry import interpolated, neighborhoods, subcenters
from methods.parts.layers import normalized

FREQUENCIES = 4  # 1, 2, 4 and 8
EMBEDDED = 3 * (2 * FREQUENCIES + 1)
SUMMARY = 8  # channels of a sub-centre in the summary of the shape
NEAREST, EPSILON = 32, 1e-4  # of the centres that a point gets features of, and of their weights
DROPOUT = 0.2


def embedded(points: Tensor) -> Tensor:
    """Coordinates (..., 3) -> (..., 27): themselves, and their sine and cosine at four frequencies."""
    waves = [f(2**power * points) for power in range(FREQUENCIES) for f in (torch.sin, torch.cos)]
    return torch.cat([points, *waves], dim=-1)


class Layers(nn.Module):
    """(..., C) -> (..., C'): linears, each with a BatchNorm over all its rows and a ReLU."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:])

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm in zip(self.linears, self.norms, strict=True):
            assert isinstance(norm, nn.BatchNorm1d)
            x = F.relu(normalized(norm, linear(x)))
        return x


class ShiftNet(nn.Module):
    """Points (B, N, 3) -> p + share * p * m(p), and a summary of the shape (B, 8 S).

    A PointNet++ of two levels: features of G centres are maxima over their K neighbours, those of S = G / 2 sub-centres
    over K / 2 centres; then centres get features back from sub-centres, and points from centres; m is a small MLP of
    them. The summary is the features of all sub-centres. There are 25,371 weights.
    """

    def __init__(self, cloud: Points, share: float) -> None:
        super().__init__()
        self.groups, self.size, self.share = cloud.groups, cloud.size, share
        self._regroup: Callable[[Tensor, int, int], Tensor] = cloud.regroup
        self._farthest: Callable[[Tensor, int], Tensor] = cloud.farthest
        self.first, self.second = Layers(EMBEDDED, 64, 32, 64), Layers(64, 64, 32, SUMMARY)
        self.to_centers, self.to_points = Layers(64 + SUMMARY, 64, 32), Layers(EMBEDDED + 32, 32, 32)
        self.move = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(64, 3))
        for layer in (self.move[0], self.move[3]):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        groups = self._regroup(points, self.groups, min(self.size, points.shape[1]))
        centers, features = groups[:, :, 0], self.first(embedded(groups[:, :, 1:])).amax(dim=2)  # (B, G, 64)
        chosen, near = neighborhoods(centers, subcenters(self.groups), max(1, self.size // 2), self._farthest)
        index = near.flatten(1)[..., None].expand(-1, -1, features.shape[-1])
        summary = self.second(features.gather(1, index).unflatten(1, near.shape[1:])).amax(dim=2)  # (B, S, 8)
        corners = centers.gather(1, chosen[..., None].expand(-1, -1, 3))
        centered = self.to_centers(
            torch.cat([features, interpolated(centers, corners, summary, NEAREST, EPSILON)], dim=-1)
        )
        own = torch.cat([embedded(points), interpolated(points, centers, centered, NEAREST, EPSILON)], dim=-1)
        return points + self.share * points * self.move(self.to_points(own)), summary.flatten(1)
