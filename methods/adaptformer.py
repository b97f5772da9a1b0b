"""AdaptFormer: a bottleneck parallel to the FFN (Chen et al. 2022, arXiv:2205.13535)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from torch import nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.options import at_least, fraction
from methods.parts.layers import Bottleneck

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class AdaptFormerConfig(base.Config):
    """``layer_norm``: a LayerNorm of its own normalises the input of the branch.

    The paper draws such a norm, but its scripts for images run without it (ffn_adapter_layernorm_option="none").
    """

    lr: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 64
    scale: float = 0.1
    dropout: Annotated[float, fraction] = 0.1
    layer_norm: bool = False

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]),
            scale=trial.suggest_float("scale", 0.05, 4.0, log=True),
        )


class AdaptFormer(Method):
    """h + FFN(norm2(h)) + scale * up(relu(down(h))) in every block; 1,189,632 parameters on ViT-B/16.

    The authors train with SGD and put a BatchNorm without weights before the head. Here AdamW trains it, as in the
    papers that compare it on VTAB-1K, and the head is one linear layer.
    """

    Config = AdaptFormerConfig
    published = Published(image="0.16 M", options={"hidden": 8})

    def __init__(self, backbone: Backbone, config: AdaptFormerConfig) -> None:
        super().__init__(backbone, config)
        self.branches = nn.ModuleList()
        for block in backbone.blocks:
            adapter = Bottleneck(block.width, config.hidden, act="relu", dropout=config.dropout, scale=config.scale)
            norm = [nn.LayerNorm(block.width)] if config.layer_norm else []
            branch = nn.Sequential(*norm, adapter)
            self.branches.append(branch)
            # the branch reads what enters the FFN's norm, and joins the residual stream after LayerScale and drop-path
            self.beside(block.ffn.out, branch, source=block.ffn.norm)
