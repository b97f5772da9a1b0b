"""FiLM: scale and shift of features after every norm (after Perez et al. 2018, arXiv:1709.07871)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from methods.backbone import Backbone, Operation
from methods.base import Published
from methods.parts.layers import is_norm
from methods.ssf import SSF, SSFConfig


@dataclass(frozen=True, kw_only=True)
class FiLMConfig(SSFConfig):
    """It has no options of its own."""

    lr: float = 3e-3


class FiLM(SSF):
    """norm(h) * scale + shift after every LayerNorm, as SSF does after every operation.

    There are 38,400 parameters on ViT-B/16. Scales start at one and shifts at zero, so training starts at the backbone.
    In the paper a second network makes both from a condition. Here there is none: they are weights of the task.

    Method ``norm`` trains the norms' own weights and reaches the same functions. Here the optimizer sees their ratios.
    """

    Config = FiLMConfig
    published = Published()
    identity_at_start = True
    deviation: ClassVar[float] = 0.0

    @classmethod
    def places(cls, backbone: Backbone) -> list[tuple[nn.Module, Operation]]:
        """Every norm, and the tokenizer if it ends with one."""
        return [place for place in super().places(backbone) if is_norm(place[1])]
