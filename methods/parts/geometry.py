"""What patches tell each other by their places: the maximum over neighbours, spread by distance.

Shapes: B clouds, G patches, S sub-centres, K neighbours, T tokens with places, D token width.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.hooks import Tap
from methods.parts.layers import normalized

CENTER_SHARE = 0.3  # of a sub-centre's own token in what it spreads
HEADS, HEAD_WIDTH = 6, 3  # of the small attention


def subcenters(groups: int) -> int:
    """The number of sub-centres of so many centres: half as many."""
    return max(1, groups // 2)


def interpolated(targets: Tensor, sources: Tensor, features: Tensor, nearest: int, epsilon: float) -> Tensor:
    """What targets (B, P, 3) get of features (B, G, C) at sources (B, G, 3), of the ``nearest`` of them: (B, P, C).

    The weights are 1 / (distance^2 + epsilon), divided by their sum.
    """
    distance = torch.cdist(targets, sources, compute_mode="donot_use_mm_for_euclid_dist")
    near, index = distance.topk(min(nearest, sources.shape[1]), largest=False)
    weight = 1 / (near.square() + epsilon)
    weight = (weight / weight.sum(-1, keepdim=True)).to(features.dtype)
    return torch.zeros_like(distance, dtype=features.dtype).scatter(-1, index, weight) @ features


@torch.no_grad()
def neighborhoods(
    places: Tensor, count: int, size: int, farthest: Callable[[Tensor, int], Tensor]
) -> tuple[Tensor, Tensor]:
    """Of places (B, T, 3), the indices (B, S) of ``count`` far ones, and (B, S, K) of those nearest to each."""
    chosen = farthest(places, count)
    corner = places.gather(1, chosen[..., None].expand(-1, -1, 3))
    apart = torch.cdist(corner, places, compute_mode="donot_use_mm_for_euclid_dist")
    return chosen, apart.topk(min(size, places.shape[1]), largest=False).indices


class Graph:
    """The graph of this forward pass: neighbours (B, S, 1 + K), sub-centre first, and weights (B, G, S) to spread by.

    Every block reads it, and again where its activations are computed again.
    """

    def __init__(self) -> None:
        self.near, self.weights = Tap(), Tap()

    def fill(self, places: Tensor, centers: Tensor, neighbors: int, farthest: Callable[[Tensor, int], Tensor]) -> None:
        """Sub-centres are half as many as the centres (B, G, 3), and the farthest of all places (B, T, 3).

        The weights are 1 / (distance^2 + 1e-8), divided by their sum.
        """
        chosen, near = neighborhoods(places, subcenters(centers.shape[1]), neighbors, farthest)
        self.near.put(torch.cat([chosen[..., None], near], dim=-1))
        corner = places.gather(1, chosen[..., None].expand(-1, -1, 3))
        weights = 1 / ((centers[:, :, None] - corner[:, None]).square().sum(-1) + 1e-8)
        self.weights.put(weights / weights.sum(-1, keepdim=True))


class Spread(nn.Module):
    """Tokens (B, T, D) -> what reaches the patches (B, G, D): spread(GELU(BN(max of neighbours)) + 0.3 sub-centre).

    Under gradient checkpointing the statistics of the BatchNorm move twice per step, both times towards the same batch.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, tokens: Tensor, graph: Graph, mixed: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """``mixed``, if there is one, changes the neighbours (B, S, K, D) of each sub-centre first."""
        near, weights = graph.near.look(), graph.weights.look()
        index = near.flatten(1)[..., None].expand(-1, -1, tokens.shape[-1])
        centers, neighbors = tokens.gather(1, index).unflatten(1, near.shape[1:]).tensor_split([1], dim=2)
        neighbors = mixed(neighbors) if mixed else neighbors
        found = F.gelu(normalized(self.norm, neighbors.amax(dim=2)))
        out: Tensor = weights.to(found.dtype) @ (found + CENTER_SHARE * centers[:, :, 0])
        return out


class SmallAttention(nn.Module):
    """(B, S, K, D) -> (B, S, K, D): x + attention(LN x) among the K, with 6 heads of width 3 and the scale 18^-1/2."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        width = HEADS * HEAD_WIDTH
        self.norm, self.qkv, self.proj = nn.LayerNorm(dim), nn.Linear(dim, 3 * width, bias=False), nn.Linear(width, dim)
        self.scale = width**-0.5

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x)).unflatten(-1, (3, HEADS, HEAD_WIDTH)).permute(3, 0, 1, 4, 2, 5)
        mixed = (q @ k.transpose(-2, -1) * self.scale).softmax(-1) @ v  # (B, S, HEADS, K, HEAD_WIDTH)
        out: Tensor = x + self.proj(mixed.transpose(-3, -2).flatten(-2))
        return out
