"""Adapter+: a bottleneck after the block, with scales and drop-path (Steitz & Roth 2024, arXiv:2406.06820)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.options import at_least, fraction
from methods.parts.layers import Bottleneck, drop_samples

if TYPE_CHECKING:
    import optuna

START = 0.01  # the standard deviation of the first weights, which are cut at twice that


@dataclass(frozen=True, kw_only=True)
class AdapterPlusConfig(base.Config):
    """``position``: what the adapter reads and is added to (the paper compares these, and "post" is Adapter+).

    post: the block's output. intermediate: what the FFN adds to the residual stream. parallel: it reads what enters the
    FFN's norm, and is added to the block's output.

    ``drop_path`` acts on the adapter alone. The authors give the blocks drop-path 0.1 as well, in the recipe.
    """

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 8
    position: Literal["post", "intermediate", "parallel"] = "post"
    drop_path: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        hidden = trial.suggest_categorical("hidden", [1, 2, 4, 8, 16, 32])
        return cls(**base.suggest_common(trial), hidden=hidden)


class ScaledBottleneck(Bottleneck):
    """(B, N, D) -> (B, N, D): drop_path(scale * up(gelu(down(x)))) with a learned scale per channel, 1 at the start.

    Both matrices start normal with the standard deviation 0.01. There are 2 D hidden + hidden + 2 D parameters.
    """

    def __init__(self, dim: int, hidden: int, drop_path: float) -> None:
        super().__init__(dim, hidden, act="gelu")
        self.channels, self.drop_path = nn.Parameter(torch.ones(dim)), drop_path
        for linear in (self.down, self.up):
            nn.init.trunc_normal_(linear.weight, std=START, a=-2 * START, b=2 * START)

    def forward(self, x: Tensor) -> Tensor:
        return drop_samples(super().forward(x) * self.channels, self.drop_path, training=self.training)


class ScaledResidual(ScaledBottleneck):
    """(B, N, D) -> (B, N, D): x + drop_path(scale * up(gelu(down(x))))."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class AdapterPlus(Method):
    """x + drop_path(scale * (W2 gelu(W1 x + b1) + b2)) after every block; 165,984 parameters at hidden 8 on ViT-B/16.

    The equations are those of the authors' code (visinf/adapter_plus at d0e7cb4, adapter_plus/vit_adapter.py). One
    setting serves all tasks there: 100 epochs of AdamW with a learning rate of 1e-3 and a weight decay of 1e-4.
    """

    Config = AdapterPlusConfig
    identity_at_start = False  # no matrix is zero

    def __init__(self, backbone: Backbone, config: AdapterPlusConfig) -> None:
        super().__init__(backbone, config)
        self.adapters = nn.ModuleList()
        for block in backbone.blocks:
            kind = ScaledBottleneck if config.position == "parallel" else ScaledResidual
            adapter = kind(block.width, config.hidden, config.drop_path)
            self.adapters.append(adapter)
            if config.position == "parallel":
                self.beside(block.ffn.out, adapter, source=block.ffn.norm)
            else:
                self.after(block.module if config.position == "post" else block.ffn.out, adapter)
