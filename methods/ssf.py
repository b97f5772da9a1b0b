"""SSF: scale and shift of features (Lian et al. 2022, arXiv:2210.08823)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from methods import base
from methods.base import Backbone, Merges, Method, Published, modality
from methods.layers import ScaleShift, is_norm

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, kw_only=True)
class SSFConfig(base.Config):
    lr: float = 1e-2


class SSF(Method):
    """y * scale + shift after the tokenizer, every LayerNorm and every linear of the blocks, and the last LayerNorm.

    205,824 parameters on ViT-B/16. On points the tokenizer's output is the patch tokens before their positions are
    added (chosen here).
    """

    Config = SSFConfig
    published = Published(image="0.21 M")
    merges: ClassVar[Merges] = "yes"  # but for some tokenizers, see ``_folds``
    identity_at_start = False  # scales are drawn around 1, shifts around 0

    def __init__(self, backbone: Backbone, config: SSFConfig) -> None:
        super().__init__(backbone, config)
        self.parts = nn.ModuleList()
        self._wired: list[tuple[nn.Module, nn.Module, ScaleShift]] = []
        self._wire(*_tokenizer(backbone), backbone.num_features)
        for module in _operations(backbone):
            width = module.normalized_shape[-1] if isinstance(module, nn.LayerNorm) else module.out_features
            self._wire(module, module, width)

    def _wire(self, module: nn.Module, operation: nn.Module, width: int) -> None:
        """Scale and shift the output of ``module``, whose last operation with weights is ``operation``."""
        part = ScaleShift(width)
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


def _tokenizer(backbone: Any) -> tuple[nn.Module, nn.Module]:
    """The module that returns the patch tokens, and the last operation with weights in it."""
    if modality(backbone) == "points":
        reduce = backbone.reduce_dim
        return reduce, reduce if isinstance(reduce, nn.Linear) else backbone.encoder.second_conv[-1]
    embed = backbone.patch_embed
    norm = getattr(embed, "norm", None)
    return embed, norm if is_norm(norm) else embed.proj


def _operations(backbone: Backbone) -> Iterator[nn.LayerNorm | nn.Linear]:
    """Every LayerNorm and linear of the blocks, and the LayerNorms before and after the blocks if there are any."""
    for block in backbone.blocks:
        yield from (m for m in block.modules() if isinstance(m, (nn.LayerNorm, nn.Linear)))
    around = (getattr(backbone, name, None) for name in ("norm_pre", "norm", "fc_norm"))
    yield from (m for m in around if isinstance(m, nn.LayerNorm))


def _folds(operation: nn.Module, part: ScaleShift) -> bool:
    """Whether changed weights let the operation compute part(operation(x)) exactly. An RMSNorm cannot add a shift."""
    if isinstance(operation, nn.Conv1d):  # a maximum comes between; a negative scale makes it a minimum
        return bool((part.scale >= 0).all())
    return isinstance(operation, (nn.Linear, nn.LayerNorm, nn.Conv2d))
