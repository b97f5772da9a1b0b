"""Convpass: convolutional bypasses beside MHA and FFN (Jie & Deng 2022, arXiv:2207.07039).

Shapes: B images, N = P + G tokens, the P prefix tokens (class) first, then G patches in rows; D token width, H hidden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Method
from methods.errors import check
from methods.layers import ACTIVATIONS

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class ConvpassConfig(base.Config):
    lr: float = 1e-2
    hidden: int = 8
    scale: float = 1.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.hidden >= 1, f"hidden={self.hidden} must be at least 1")
        check(self.dropout < 1, f"dropout={self.dropout} must be below 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 1e-2, 1e1, log=True),
        )


class Bypass(nn.Module):
    """(B, N, D) -> (B, N, D): scale * up(dropout(act(conv(act(down(x)))))), zero at the start.

    2 D H + 9 H^2 + 2 H + D weights. The convolution starts as the identity, as in the authors' code.
    """

    def __init__(self, dim: int, grid: tuple[int, int], prefix: int, config: ConvpassConfig) -> None:
        super().__init__()
        self.grid, self.prefix, self.scale = grid, prefix, config.scale
        self.down = nn.Linear(dim, config.hidden)
        self.conv = nn.Conv2d(config.hidden, config.hidden, 3, padding=1)
        self.up = nn.Linear(config.hidden, dim)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.dirac_(self.conv.weight)
        for zero in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(cast(Tensor, zero))

    def forward(self, x: Tensor) -> Tensor:
        act = ACTIVATIONS["quick_gelu"]
        out: Tensor = self.up(self.dropout(act(self.mix(act(self.down(x))))))
        return out * self.scale

    def mix(self, hidden: Tensor) -> Tensor:
        """The 3x3 convolution: patches over their grid, every prefix token alone; (B, N, H) -> (B, N, H)."""
        # with zeros all around it, a token alone meets the centre of the kernel and nothing else
        alone = F.linear(hidden[:, : self.prefix], self.conv.weight[:, :, 1, 1], self.conv.bias)
        patches = hidden[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)  # (B, H, rows, columns)
        return torch.cat([alone, self.conv(patches).flatten(2).transpose(1, 2)], dim=1)


class Convpass(Method):
    """x + MHA(norm1(x)) + scale * bypass(norm1(x)), and the same around the FFN: 327,552 on ViT-B/16.

    The bypass joins the residual stream; drop-path does not reach it (chosen here, as for adaptformer).
    """

    Config = ConvpassConfig
    modalities = frozenset({"image"})

    def __init__(self, backbone: Backbone, config: ConvpassConfig) -> None:
        super().__init__(backbone, config)
        vit = cast(Any, backbone)  # what only image backbones have
        rows, columns = vit.patch_embed.grid_size
        self.bypasses = nn.ModuleList()
        for block in backbone.blocks:
            # past LayerScale and drop-path
            for source, module in ((block.attn, block.drop_path1), (block.mlp, block.drop_path2)):
                bypass = Bypass(backbone.num_features, (rows, columns), vit.num_prefix_tokens, config)
                self.bypasses.append(bypass)
                self.beside(module, bypass, source=source)
