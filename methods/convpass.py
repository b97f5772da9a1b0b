"""Convpass: convolutional bypasses beside MHA and FFN (Jie & Deng 2022, arXiv:2207.07039).

Shapes: B images; N = P + G tokens, first the P prefix tokens (such as the class token), then the G patches row by row;
D token width, H hidden channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.options import LATER, at_least, fraction
from methods.parts.layers import ACTIVATIONS, drop_samples

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class ConvpassConfig(base.Config):
    """``conv``: what the convolutions start as. The authors choose it, and ``scale``, task by task."""

    lr: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 8
    scale: float = 1.0
    dropout: Annotated[float, fraction] = 0.1
    conv: Literal["identity", "xavier"] = field(default="identity", metadata=LATER)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 1e-2, 1e2, log=True),
        )


class Bypass(nn.Module):
    """(B, N, D) -> (B, N, D): scale * drop_path(up(dropout(act(conv(act(down(x))))))), zero at the start.

    It has 2 D H + 9 H^2 + 2 H + D parameters. ``drop_path`` is the probability that a sample skips it in training.
    """

    def __init__(
        self, dim: int, grid: tuple[int, int], prefix: int, config: ConvpassConfig, *, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.grid, self.prefix, self.scale = grid, prefix, config.scale
        self.down = nn.Linear(dim, config.hidden)
        self.conv = nn.Conv2d(config.hidden, config.hidden, 3, padding=1)
        self.up = nn.Linear(config.hidden, dim)
        self.dropout, self.drop_path = nn.Dropout(config.dropout), drop_path
        nn.init.xavier_uniform_(self.down.weight)
        (nn.init.dirac_ if config.conv == "identity" else nn.init.xavier_uniform_)(self.conv.weight)
        for zero in (self.down.bias, self.conv.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(cast(Tensor, zero))

    def forward(self, x: Tensor) -> Tensor:
        act = ACTIVATIONS["quick_gelu"]
        out: Tensor = self.up(self.dropout(act(self.mix(act(self.down(x))))))
        return drop_samples(out, self.drop_path, training=self.training) * self.scale

    def mix(self, hidden: Tensor) -> Tensor:
        """(B, N, H) -> (B, N, H): the 3x3 convolution of the patches on their grid, and of every prefix token alone."""
        # a token alone has zeros all around it, so only the centre of the kernel meets it
        alone = F.linear(hidden[:, : self.prefix], self.conv.weight[:, :, 1, 1], self.conv.bias)
        patches = hidden[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)  # (B, H, rows, columns)
        return torch.cat([alone, self.conv(patches).flatten(2).transpose(1, 2)], dim=1)


class Convpass(Method):
    """x + MHA(norm1(x)) + scale * bypass(norm1(x)), and the same around the FFN.

    327,552 parameters on ViT-B/16. A bypass has drop-path of its own, at its block's rate, as in the authors' code.
    """

    Config = ConvpassConfig
    needs_attention = True
    modalities = frozenset({"image"})

    def __init__(self, backbone: Backbone, config: ConvpassConfig) -> None:
        super().__init__(backbone, config)
        self.bypasses = nn.ModuleList()
        for block in backbone.blocks:
            for branch in (block.attention("convpass"), block.ffn):
                grid = block.patch_grid("convpass")
                rate = float(getattr(branch.out, "drop_prob", None) or 0)  # of timm's DropPath; an identity has none
                bypass = Bypass(block.width, grid, block.prefix_tokens, config, drop_path=rate)
                self.bypasses.append(bypass)
                self.beside(branch.out, bypass, source=branch.inner)
