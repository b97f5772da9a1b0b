"""SSF: scale and shift of features (Lian et al. 2022, arXiv:2210.08823)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from methods import base
from methods.backbone import Backbone, Operation
from methods.base import Merges, Method, Published
from methods.parts.layers import ScaleShift


@dataclass(frozen=True, kw_only=True)
class SSFConfig(base.Config):
    lr: float = 1e-2


class SSF(Method):
    """y * scale + shift after the tokenizer and every LayerNorm, linear and convolution that follows.

    205,824 parameters on ViT-B/16. On points the tokenizer's output is the patch tokens before their positions are
    added (chosen here).
    """

    Config = SSFConfig
    published = Published(image="0.21 M")
    merges: ClassVar[Merges] = "yes"  # but for some tokenizers, see ``_folds``
    identity_at_start = False  # scales are drawn around 1, shifts around 0
    deviation: ClassVar[float] = 0.02  # of the scales and shifts at the start

    def __init__(self, backbone: Backbone, config: base.Config) -> None:
        super().__init__(backbone, config)
        self.parts = nn.ModuleList()
        self._wired: list[tuple[nn.Module, nn.Module, ScaleShift]] = []
        for module, operation in self.places(backbone):
            first = any(module is other for other in backbone.channels_first)
            part = ScaleShift(len(operation.weight), channels_first=first, deviation=self.deviation)
            self._wire(module, operation, part)

    @classmethod
    def places(cls, backbone: Backbone) -> list[tuple[nn.Module, Operation]]:
        """The modules that are scaled and shifted, each with its last operation that has weights."""
        return [backbone.tokenizer, *((same, same) for same in backbone.operations)]

    def _wire(self, module: nn.Module, operation: nn.Module, part: ScaleShift) -> None:
        """Scale and shift the output of ``module``, whose last operation with weights is ``operation``."""
        self.parts.append(part)
        self._wired.append((module, operation, part))
        self.after(module, part)

    @torch.no_grad()
    def merge(self) -> None:
        """Fold every part into the operation before it for good. A part that does not fold exactly keeps its hook."""
        self.remove_hooks()
        kept = []
        for module, operation, part in self._wired:
            if _folds(operation, part):
                part.fold_into(operation)  # type: ignore[arg-type]
            else:
                self.after(module, part)
                kept.append((module, operation, part))
        self._wired = kept


def _folds(operation: nn.Module, part: ScaleShift) -> bool:
    """Whether changed weights let the operation compute part(operation(x)) exactly. An RMSNorm cannot add a shift."""
    if isinstance(operation, nn.Conv1d):  # a maximum comes between; a negative scale makes it a minimum
        return bool((part.scale >= 0).all())
    return isinstance(operation, (nn.Linear, nn.LayerNorm, nn.Conv2d))
