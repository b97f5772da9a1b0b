"""PointLoRA: LoRA, shared networks, and prompts chosen from the patches (Wang et al. 2025, arXiv:2504.16023).

Shapes: B clouds, N points, G patches, P prompts, D token width. Code cited here is the authors', at 82719f0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.hooks import Tap
from methods.options import at_least
from methods.parts.layers import LowRank, network
from methods.protocols import Criterion

if TYPE_CHECKING:
    import optuna

COARSE_SHARE = 0.25  # of the coarse scale in the regulariser


@dataclass(frozen=True, kw_only=True)
class PointLoRAConfig(base.Config):
    """``hidden``: the width of the shared networks. ``fine`` and ``coarse``: how many tokens of a scale become prompts.

    ``regularizer``: the weight of the term that drives scores towards 0 and 1.
    """

    lr: float = 3e-3
    rank: Annotated[int, at_least(1)] = 8
    alpha: float = 8.0
    hidden: Annotated[int, at_least(1)] = 32
    fine: Annotated[int, at_least(1)] = 32
    coarse: Annotated[int, at_least(1)] = 8
    regularizer: float = 0.004

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        rank = trial.suggest_categorical("rank", [2, 4, 8, 16])
        return cls(**base.suggest_common(trial), rank=rank, alpha=float(rank))


class Scores(nn.Module):
    """Tokens (B, G, D) -> scores (B, G) between 0 and 1: sigmoid(w . relu(W x + b) + c); D^2 / 2 + D + 1 weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dim, dim // 2), nn.ReLU(), nn.Linear(dim // 2, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.layers(tokens).sigmoid().squeeze(-1)
        return found


class PointLoRA(Method):
    """qkv and proj compute W x + B A x + M(x) with a LoRA per block and networks M that all blocks share.

    Prompts are tokens with the highest scores at two scales: of the backbone's own patches, and of half as many groups
    of twice as many points. They keep their positions, which are added before every block. There patches += M1(patches)
    and prompts += M2(prompts). The head sees [class token; maximum of patches and prompts]. The loss gets
    0.004 (R1 + R2 / 4), R = mean(p log p + (1 - p) log(1 - p)) of the scores p of a scale; choosing has no gradient.

    The networks are not linear, so nothing merges. The class token with its position, what makes positions of centres,
    and the encoder's first layers train too. On Point-MAE LoRA has 221,184 parameters, the networks 125,312, the scores
    74,113, these 84,608, and the head 267,535 for 15 classes: 772,752.
    """

    Config = PointLoRAConfig
    published = Published(points="0.77 M")
    modalities = frozenset({"points"})
    identity_at_start = False  # attention sees the prompts from the first step on
    reads_clouds = True  # the coarse groups are not among those of the backbone

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        cloud = backbone.cloud
        parts = [p for module in (cloud.first_layers, cloud.positions) for p in module.parameters()]
        return backbone.class_token | backbone.names(parts)

    def __init__(self, backbone: Backbone, config: PointLoRAConfig) -> None:
        super().__init__(backbone, config)
        dim = backbone.widths[0]
        self.of_patches, self.of_prompts, self.of_proj = (network(dim, config.hidden, dim) for _ in range(3))
        self.of_qkv, self.scores = network(dim, config.hidden, 3 * dim), Scores(dim)
        scale = config.alpha / config.rank
        self.qkv = nn.ModuleList(LowRank(dim, 3 * dim, config.rank, scale=scale) for _ in backbone.blocks)
        self.proj = nn.ModuleList(LowRank(dim, dim, config.rank, scale=scale) for _ in backbone.blocks)
        self.counts, self.regularizer = (config.fine, config.coarse), config.regularizer
        self.unfreeze(backbone.parameters(self.unfrozen(backbone)))
        for statistic in backbone.cloud.first_layers.buffers():
            self.remember(statistic, statistic.clone())
        self._wire(backbone)

    def _wire(self, backbone: Backbone) -> None:
        cloud, blocks = backbone.cloud, backbone.blocks
        self._points, self._tokens, self._prompts, self._places, self._terms, self._best = (Tap() for _ in range(6))
        self._regroup, self._encode = cloud.regroup, cloud.encode
        self.prefix, self.size = blocks[0].prefix_tokens, cloud.size
        self.admit_prompts(backbone, "pointlora")
        self.read(cloud.grouping, self._points.put)
        self.read_output(backbone.tokenizer[0], self._tokens.put)
        self.read_output(cloud.positions, self._choose)
        for block, qkv, proj in zip(blocks, self.qkv, self.proj, strict=True):
            self.before(block.module, partial(self._enter, first=block is blocks[0]))
            self.beside(block.linear("qkv", "pointlora"), partial(_sum, qkv, self.of_qkv))
            self.beside(block.linear("proj", "pointlora"), partial(_sum, proj, self.of_proj))
        self.after(backbone.norm, self._leave)

    def _choose(self, positions: Tensor) -> None:
        """Choose prompts for clouds whose patches have these positions (B, G, D)."""
        points = self._points.take()
        groups = self._regroup(points, max(1, positions.shape[1] // 2), min(2 * self.size, points.shape[1]))
        chosen, terms = [], []
        for count, (tokens, places) in zip(
            self.counts, [(self._tokens.take(), positions), self._encode(groups)], strict=True
        ):
            scores = self.scores(tokens).float()
            terms.append((scores * (scores + 1e-6).log() + (1 - scores) * (1 - scores + 1e-6).log()).mean())
            index = scores.topk(min(count, tokens.shape[1])).indices[..., None].expand(-1, -1, tokens.shape[-1])
            chosen.append((tokens.gather(1, index), places.gather(1, index)))
        self._prompts.put(torch.cat([tokens for tokens, _ in chosen], dim=1))
        self._places.put(torch.cat([places for _, places in chosen], dim=1))
        self._terms.put(terms[0] + COARSE_SHARE * terms[1])

    def _enter(self, x: Tensor, first: bool) -> Tensor:
        """Tokens of the backbone, and prompts but before the first block, to all tokens (B, T + P, D)."""
        prompts, places = self._prompts.look(), self._places.look()
        x = torch.cat([x, prompts.to(x.dtype)], dim=1) if first else x
        before, patches, prompts = x.tensor_split([self.prefix, x.shape[1] - places.shape[1]], dim=1)
        prompts = prompts + places
        return torch.cat([before, patches + self.of_patches(patches), prompts + self.of_prompts(prompts)], dim=1)

    def _leave(self, x: Tensor) -> Tensor:
        """(B, T + P, D) -> (B, T, D): take the prompts off, and keep their maximum (B, D)."""
        patches, prompts = x.tensor_split([x.shape[1] - self._places.look().shape[1]], dim=1)
        self._best.put(prompts.amax(1))
        return patches

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; max of patches and prompts] (B, 2 D)."""
        class_token, patches = pooled.chunk(2, dim=-1)
        return torch.cat([class_token, torch.maximum(patches, self._best.take())], dim=-1)

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """The loss of the logits and the weighted regulariser of this batch's scores."""
        return criterion(model(x), y) + self.regularizer * self._terms.take()


def _sum(update: nn.Module, shared: nn.Module, x: Tensor) -> Tensor:
    """B A x + M(x)."""
    out: Tensor = update(x) + shared(x)
    return out
