"""BitFit: every bias of the backbone (Ben Zaken et al. 2022, arXiv:2106.10199)."""

from dataclasses import dataclass

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published


@dataclass(frozen=True, kw_only=True)
class BitFitConfig(base.Config):
    lr: float = 1e-2


class BitFit(Method):
    """Every bias of the backbone trains; 102,912 parameters on ViT-B/16."""

    Config = BitFitConfig
    published = Published(image="0.10 M")
    merges = "yes"

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return {name for name, _ in backbone.named_parameters() if name.endswith("bias")}

    def __init__(self, backbone: Backbone, config: BitFitConfig) -> None:
        super().__init__(backbone, config)
        self.unfreeze(backbone.parameters(self.unfrozen(backbone)))
