"""Norm tuning: weight and bias of every LayerNorm (as in Basu et al. 2023, arXiv:2304.01610)."""

from dataclasses import dataclass

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.parts.layers import is_norm


@dataclass(frozen=True, kw_only=True)
class NormConfig(base.Config):
    lr: float = 1e-2


class Norm(Method):
    """Every LayerNorm and RMSNorm of the backbone trains; 38,400 parameters on ViT-B/16."""

    Config = NormConfig
    merges = "yes"

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        norms = {name: module for name, module in backbone.module.named_modules() if is_norm(module)}
        return {f"{norm}.{name}" for norm, module in norms.items() for name, _ in module.named_parameters()}

    def __init__(self, backbone: Backbone, config: NormConfig) -> None:
        super().__init__(backbone, config)
        for module in backbone.module.modules():
            if is_norm(module):
                self.unfreeze(module.parameters())
