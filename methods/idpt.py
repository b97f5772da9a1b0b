"""IDPT: a prompt made from each cloud by a dynamic graph CNN (Zha et al. 2023, arXiv:2304.07221).

Shapes: B clouds, G patches, K neighbours, D token width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Method, Published, Tap
from methods.errors import check
from methods.layers import between, set_aside

if TYPE_CHECKING:
    import optuna

SLOPE = 0.2  # of every LeakyReLU


@dataclass(frozen=True, kw_only=True)
class IDPTConfig(base.Config):
    """``block`` counts from 0: the first that sees the prompt, unless given the last (11 of Point-MAE's 12)."""

    lr: float = 1e-2
    neighbors: int = 20
    block: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.neighbors >= 1, f"neighbors={self.neighbors} must be at least 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), neighbors=trial.suggest_categorical("neighbors", [4, 8, 20]))


class EdgeConv(nn.Module):
    """Patches (B, G, D) -> (B, G, D): the maximum over neighbours j of LeakyReLU(BN(W [y_j - y_i; y_i])).

    Neighbours are the K nearest in feature space, itself among them; all patches where there are fewer than K.
    """

    def __init__(self, dim: int, neighbors: int) -> None:
        super().__init__()
        self.neighbors = neighbors
        self.linear = nn.Linear(2 * dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, y: Tensor) -> Tensor:
        index = nearest(y, self.neighbors)
        # W [y_j - y_i; y_i] = V y_j + (U - V) y_i of W = [V, U]: one product a patch, not one a neighbour
        difference, own = self.linear.weight.chunk(2, dim=1)
        near = F.linear(y, difference)
        near = near.gather(1, index.flatten(1)[..., None].expand(-1, -1, near.shape[-1])).unflatten(1, index.shape[1:])
        edges = near + F.linear(y, own - difference)[:, :, None]  # (B, G, K, D)
        return F.leaky_relu(_normalized(self.norm, edges), SLOPE).amax(dim=2)


class PromptNetwork(nn.Module):
    """Patches (B, G, D) -> one prompt (B, 1, D): three EdgeConvs, their outputs fused and the maximum over patches.

    9 D^2 + 8 D weights: 1,330,176 at D = 384. Gradient checkpointing makes the statistics of its BatchNorms move twice
    a step, both times towards the same batch.
    """

    def __init__(self, dim: int, neighbors: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(EdgeConv(dim, neighbors) for _ in range(3))
        self.fuse = nn.Linear(3 * dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, y: Tensor) -> Tensor:
        outputs = []
        for conv in self.convs:
            y = conv(y)
            outputs.append(y)
        fused = _normalized(self.norm, self.fuse(torch.cat(outputs, dim=-1)))
        return F.leaky_relu(fused, SLOPE).amax(dim=1, keepdim=True)


class IDPT(Method):
    """Before block p a prompt made from the patches joins the sequence for good; the head sees it too.

    It has no position (the authors give it a random one that never trains). Class token and its position train: with
    the head of three parts for 15 classes 1,330,176 + 768 + 365,839 = 1,696,783 on Point-MAE.
    """

    Config = IDPTConfig
    published = Published(points="1.7 M")
    modalities = frozenset({"points"})
    identity_at_start = False  # attention sees the prompt from the first step on

    def __init__(self, backbone: Backbone, config: IDPTConfig) -> None:
        super().__init__(backbone, config)
        dim, last = backbone.num_features, len(backbone.blocks) - 1
        block = last if config.block is None else config.block
        check(1 <= block <= last, f"idpt: block={block} must be from 1 to {last}, the last of this backbone")
        self.network = PromptNetwork(dim, config.neighbors)
        self.extra_features = dim
        self._prompt = Tap()
        self.unfreeze([backbone.cls_token, backbone.cls_pos])  # type: ignore[attr-defined]  # of point backbones
        # on what the block before puts out, to which no position is added yet
        self.after(backbone.blocks[block - 1], partial(_extend, self.network))
        self.after(backbone.norm, partial(set_aside, 1, self._prompt))

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; prompt; max of patches] (B, 3 D)."""
        return between(pooled, self._prompt.take()[:, 0])


def nearest(y: Tensor, count: int) -> Tensor:
    """Indices (B, G, K) of the ``count`` patches nearest to each of (B, G, D), itself among them; all if G < count."""
    y = y.detach().float()
    distance = torch.cdist(y, y, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(min(count, y.shape[1]), largest=False).indices


def _normalized(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """BatchNorm over all but the last dimension: (..., D) -> (..., D)."""
    out: Tensor = norm(x.flatten(0, -2)).unflatten(0, x.shape[:-1])
    return out


def _extend(network: PromptNetwork, x: Tensor) -> Tensor:
    """[class, patches] (B, 1 + G, D) -> [class, patches, prompt] (B, 1 + G + 1, D)."""
    return torch.cat([x, network(x[:, 1:]).to(x.dtype)], dim=1)
