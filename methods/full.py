"""Full fine-tuning, from pretrained weights or from scratch. Every method is compared with these two."""

from dataclasses import dataclass

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published


@dataclass(frozen=True, kw_only=True)
class FullConfig(base.Config):
    lr: float = 2e-3
    weight_decay: float = 5e-2


class Full(Method):
    """Every parameter of the backbone trains, BatchNorm statistics included."""

    Config = FullConfig
    published = Published(image="85.8 M", points="22.1 M")
    merges = "yes"

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return {name for name, _ in backbone.named_parameters()}

    def __init__(self, backbone: Backbone, config: FullConfig) -> None:
        super().__init__(backbone, config)
        self.unfreeze(backbone.module.parameters())
        for buffer in backbone.module.buffers():
            self.remember(buffer, buffer.clone())


class Scratch(Full):
    """Full training of the same architecture from fresh weights: what pretraining is worth."""

    pretrained = False
