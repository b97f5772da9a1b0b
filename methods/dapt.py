"""DAPT: dynamic adapters, prompts made from them, scales and shifts (Zhou et al. 2024, arXiv:2403.01439).

Shapes: B samples, N tokens, D token width, L blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Published, Tap
from methods.errors import check
from methods.layers import Bottleneck, PromptGenerator, append, between, set_aside
from methods.ssf import SSF, SSFConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class DAPTConfig(SSFConfig):
    """``head_prompts``: the head also sees the mean prompt, as the authors have it but for ModelNet40."""

    lr: float = 1e-2
    hidden: int = 64
    dropout: float = 0.0
    head_prompts: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.hidden >= 1, f"hidden={self.hidden} must be at least 1")
        check(self.dropout < 1, f"dropout={self.dropout} must be below 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]),
            dropout=trial.suggest_categorical("dropout", [0.0, 0.1]),
        )


class DynamicAdapter(nn.Module):
    """(B, N, D) -> (B, N, D): relu(scale(n)) * up(dropout(gelu(down(n)))) of n = LN(h), zero at the start.

    The scale is one number a token; 2 D + (2 D hidden + hidden + D) + (D + 1) weights.
    """

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.bottleneck = Bottleneck(dim, hidden, act="gelu", dropout=dropout)
        self.scale = nn.Linear(dim, 1)
        nn.init.zeros_(self.scale.bias)

    def forward(self, h: Tensor) -> Tensor:
        n = self.norm(h)
        out: Tensor = F.relu(self.scale(n)) * self.bottleneck(n)
        return out


class DAPT(SSF):
    """SSF, and in block l: a = DynamicAdapter(h), x' = h + FFN(norm2(h)) + a, and one prompt from GELU(a) joins.

    Class token and its position train too. On Point-MAE at hidden 64: adapters 609,036, prompts 9,216, scales and
    shifts 102,912, tokens 768, and the head of three parts 365,839 for 15 classes: 1,087,771.
    """

    Config = DAPTConfig
    published = Published(points="1.1 M")
    modalities = frozenset({"points"})

    def __init__(self, backbone: Backbone, config: DAPTConfig) -> None:
        super().__init__(backbone, config)
        dim, depth = backbone.num_features, len(backbone.blocks)
        self.adapters = nn.ModuleList(DynamicAdapter(dim, config.hidden, config.dropout) for _ in range(depth))
        self.generators = nn.ModuleList(PromptGenerator(dim) for _ in range(depth))
        self.extra_features = dim if config.head_prompts else 0
        self._prompts = Tap()
        self._places: list[Any] = [*backbone.blocks, backbone.norm]  # a list, so that they are not part of this module
        self.unfreeze([backbone.cls_token, backbone.cls_pos])  # type: ignore[attr-defined]  # of point backbones
        self._wire_adapters()

    def _wire_adapters(self) -> None:
        *blocks, norm = self._places
        for block, adapter, generator in zip(blocks, self.adapters, self.generators, strict=True):
            prompt = Tap()
            self.beside(block.drop_path2, partial(_adapt, adapter, generator, prompt), source=block.norm2)
            self.after(block, partial(append, prompt))
        self.after(norm, partial(set_aside, len(blocks), self._prompts))

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; mean of prompts; max of patches] (B, 3 D), or as it is."""
        prompts = self._prompts.take()
        return between(pooled, prompts.mean(dim=1)) if self.extra_features else pooled

    def merge(self) -> None:
        """Fold scales and shifts into what they follow, where that is exact; adapters and prompts stay hooks."""
        super().merge()  # takes every hook off
        self._wire_adapters()


def _adapt(adapter: nn.Module, generator: nn.Module, prompt: Tap, h: Tensor) -> Tensor:
    a: Tensor = adapter(h)
    prompt.value = generator(F.gelu(a))
    return a
