"""Full fine-tuning, from pretrained weights or from scratch. Every method is compared with these two."""

from dataclasses import dataclass

import torch

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
        self._statistics = [
            (buffer, buffer.clone()) for module in backbone.module.modules() for buffer in module.buffers(False)
        ]

    @torch.no_grad()
    def detach(self) -> None:
        """Give the backbone back as it was, BatchNorm statistics included."""
        super().detach()
        for buffer, original in self._statistics:
            buffer.copy_(original)


class Scratch(Full):
    """Full training of the same architecture from fresh weights: what pretraining is worth."""

    pretrained = False
