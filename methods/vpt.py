"""VPT: visual prompt tuning, shallow and deep (Jia et al. 2022, arXiv:2203.12119).

Shapes: B samples, N tokens, P prompts, D token width, L blocks.

The authors put the prompts between class token and patches; they have no position, so their place makes no difference.
The authors train with SGD and search over learning rates and weight decays; here AdamW trains, as every method.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

from torch import nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method, Published
from methods.options import at_least, fraction
from methods.parts.layers import Prompts, drop_last

if TYPE_CHECKING:
    import optuna

COUNTS = [1, 5, 10, 50, 100]  # of prompts, in a search


@dataclass(frozen=True, kw_only=True)
class VPTConfig(base.Config):
    lr: float = 1e-2
    prompts: Annotated[int, at_least(1)] = 50
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            prompts=trial.suggest_categorical("prompts", COUNTS),
            dropout=trial.suggest_categorical("dropout", [0.0, 0.1]),
        )


@dataclass(frozen=True, kw_only=True)
class VPTShallowConfig(VPTConfig):
    """The shallow form has no dropout, as in the authors' instructions."""

    dropout: float = 0.0

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), prompts=trial.suggest_categorical("prompts", COUNTS))


class VPTShallow(Method):
    """P learned tokens join the sequence before the first block, and leave it at the end of the first stage.

    P D parameters: 38,400 at 50 prompts on ViT-B/16, which has one stage.
    """

    Config = VPTShallowConfig
    needs_attention = True
    published = Published(image="0.08 M", options={"prompts": 100})
    identity_at_start = False  # attention sees the prompts from the first step on
    stochastic_backbone = False  # as in the authors' code: only prompts and head are in training mode

    def __init__(self, backbone: Backbone, config: VPTConfig) -> None:
        super().__init__(backbone, config)
        self.admit_prompts(backbone, "vpt")
        stage = backbone.stages[0]
        self.prompts = _prompts(backbone, stage[0], config)
        self.before(stage[0].module, self.prompts, tokens=True)
        self.after(stage[-1].module, partial(drop_last, config.prompts))


class VPTDeep(Method):
    """Every block has its own P learned tokens, which replace those of the block before.

    L P D parameters: 460,800 at 50 prompts on ViT-B/16.
    """

    Config = VPTConfig
    needs_attention = True
    identity_at_start = False  # attention sees the prompts from the first step on
    stochastic_backbone = False  # as in the authors' code: only prompts and head are in training mode

    def __init__(self, backbone: Backbone, config: VPTConfig) -> None:
        super().__init__(backbone, config)
        self.prompts = nn.ModuleList()
        self.admit_prompts(backbone, "vpt")
        for stage in backbone.stages:
            for block in stage:
                prompts = _prompts(backbone, block, config, replaced=0 if block is stage[0] else config.prompts)
                self.prompts.append(prompts)
                self.before(block.module, prompts, tokens=True)
            self.after(stage[-1].module, partial(drop_last, config.prompts))


def _prompts(backbone: Backbone, block: Block, config: VPTConfig, *, replaced: int = 0) -> Prompts:
    return Prompts(
        block.width,
        config.prompts,
        patch_numbers=backbone.patch_values,  # on points too (chosen here)
        replaced=replaced,
        dropout=config.dropout,
    )
