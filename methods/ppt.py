"""PPT: the patches a second time as prompts, with trained positions (Zhang et al. 2024, arXiv:2408.11567).

Shapes: B clouds, G patches, D token width. Code cited here is the authors', at cdac5c4 (models/PPT.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

import torch
from torch import Tensor

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.hooks import Tap
from methods.options import at_least
from methods.parts.layers import network

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class PPTConfig(base.Config):
    """``hidden``: the width of the three networks."""

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 256

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), hidden=trial.suggest_categorical("hidden", [32, 64, 128, 256]))


class PPT(Method):
    """Prompts are the G patches again. Before every block patches += M1(patches) and prompts += M2(prompts).

    In the block x' = h + FFN(norm2(h)) + M3(h), where h is what attention leaves. All blocks share the three networks.
    Prompts get the positions of their patches before every block, as the patches do. The authors' code can group the
    points anew for the prompts; as released it does so in the same way, so the prompts are the patches, as they are
    here at no cost. The head sees [class token; mean of patches; mean of prompts] (B, 3 D). Its ReLU is a GELU there.

    The class token with its position, what makes positions of centres, and the encoder's first layers train too. On
    Point-MAE the networks have 591,744 parameters, these 84,608, and the head 365,839 for 15 classes: 1,042,191.
    """

    Config = PPTConfig
    published = Published(points="1.04 M")
    modalities = frozenset({"points"})
    identity_at_start = False  # attention sees the prompts from the first step on

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        cloud = backbone.cloud
        parts = [p for module in (cloud.first_layers, cloud.positions) for p in module.parameters()]
        return backbone.class_token | backbone.names(parts)

    def __init__(self, backbone: Backbone, config: PPTConfig) -> None:
        super().__init__(backbone, config)
        dim, blocks = backbone.widths[0], backbone.blocks
        self.extra_features = dim
        self.of_patches, self.of_prompts, self.of_all = (network(dim, config.hidden, dim) for _ in range(3))
        self._positions, self._means = Tap(), Tap()
        self.unfreeze(backbone.parameters(self.unfrozen(backbone)))
        for statistic in backbone.cloud.first_layers.buffers():
            self.remember(statistic, statistic.clone())
        self.admit_prompts(backbone, "ppt")
        self.prefix = blocks[0].prefix_tokens
        self.read_output(backbone.cloud.positions, self._positions.put)
        for block in blocks:
            self.before(block.module, partial(self._enter, first=block is blocks[0]))
            self.beside(block.ffn.out, self.of_all, source=block.ffn.norm)
        self.after(backbone.norm, self._leave)

    def _enter(self, x: Tensor, first: bool) -> Tensor:
        """Tokens of the backbone, and prompts but before the first block, to all tokens (B, prefix + 2 G, D)."""
        positions = self._positions.look()  # (B, G, D)
        before, patches, prompts = x.tensor_split([self.prefix, self.prefix + positions.shape[1]], dim=1)
        prompts = patches if first else prompts + positions
        return torch.cat([before, patches + self.of_patches(patches), prompts + self.of_prompts(prompts)], dim=1)

    def _leave(self, x: Tensor) -> Tensor:
        """(B, T + G, D) -> (B, T, D): take the prompts off, and keep the two means (B, 2 D)."""
        count = self._positions.look().shape[1]
        patches, prompts = x[:, self.prefix : self.prefix + count], x[:, -count:]
        self._means.put(torch.cat([patches.mean(1), prompts.mean(1)], dim=-1))
        return x[:, :-count]

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; mean of patches; mean of prompts] (B, 3 D)."""
        return torch.cat([pooled.chunk(2, dim=-1)[0], self._means.take()], dim=-1)
