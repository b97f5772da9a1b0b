"""Adapter: a bottleneck in sequence (Houlsby et al. 2019, arXiv:1902.00751; Pfeiffer et al. 2021, arXiv:2005.00247)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.options import at_least, fraction
from methods.parts.layers import Bottleneck

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class AdapterConfig(base.Config):
    """``position``: after the FFN (Pfeiffer), or after attention and after the FFN (Houlsby)."""

    lr: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 8
    position: Literal["ffn", "both"] = "ffn"
    act: Literal["relu", "gelu", "quick_gelu"] = "quick_gelu"
    dropout: Annotated[float, fraction] = 0.1
    scale: float = 1.0

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]))


class Residual(Bottleneck):
    """(B, N, D) -> (B, N, D): x + scale * up(dropout(act(down(x))))."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Adapter(Method):
    """One bottleneck after the FFN of every block, or one after attention and one after the FFN.

    156,768 parameters at hidden 8 after the FFN on ViT-B/16. It starts as the identity. NOAH's code, from which the
    published row on VTAB-1K is, draws the up-projection from a truncated normal of 0.02 as well.
    """

    Config = AdapterConfig
    published = Published(image="0.16 M")

    def __init__(self, backbone: Backbone, config: AdapterConfig) -> None:
        super().__init__(backbone, config)
        self.adapters = nn.ModuleList()
        for block in backbone.blocks:
            for branch in [block.ffn] if config.position == "ffn" else [block.attention("adapter"), block.ffn]:
                adapter = Residual(
                    block.width, config.hidden, act=config.act, dropout=config.dropout, scale=config.scale
                )
                self.adapters.append(adapter)
                self.after(branch.inner, adapter)
