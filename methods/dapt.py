"""DAPT: dynamic adapters, prompts made from them, scales and shifts (Zhou et al. 2024, arXiv:2403.01439).

Shapes: B samples, N tokens, D token width, L blocks. In a block, h enters norm2 and u leaves it, scaled and shifted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Published
from methods.hooks import Tap
from methods.options import LATER, at_least, fraction
from methods.parts.layers import Bottleneck, PromptGenerator, append, set_aside
from methods.ssf import SSF, SSFConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class DAPTConfig(SSFConfig):
    """The published settings of each data set are in benchmarks/configs/.

    ``head_prompts``: the head also sees the mean prompt, as in the authors' code except for ModelNet40.
    ``head_patches``: the head also sees the maximum of the patches, as in the authors' code except for OBJ_ONLY.
    ``positions``: the pretrained backbone adds positions before "every" block; the authors' code adds them "once".
    """

    lr: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 64
    dropout: Annotated[float, fraction] = 0.0
    head_prompts: bool = True
    head_patches: bool = field(default=True, metadata=LATER)
    positions: Literal["every", "once"] = field(default="every", metadata=LATER)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]),
            dropout=trial.suggest_categorical("dropout", [0.0, 0.1]),
        )


class DynamicAdapter(nn.Module):
    """(B, N, D) -> (B, N, D): relu(scale(n)) * up(dropout(gelu(down(n)))) of n = LN(u), zero at the start.

    The scale is one number per token. There are 2 D + (2 D hidden + hidden + D) + (D + 1) parameters.
    """

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.bottleneck = Bottleneck(dim, hidden, act="gelu", dropout=dropout)
        self.scale = nn.Linear(dim, 1)
        nn.init.zeros_(self.scale.bias)

    def forward(self, u: Tensor) -> Tensor:
        n = self.norm(u)
        out: Tensor = F.relu(self.scale(n)) * self.bottleneck(n)
        return out


class DAPT(SSF):
    """SSF, and in every block a = DynamicAdapter(u) of the FFN's input u, and x' = h + drop_path(FFN(u) + a).

    One prompt made from GELU(a) joins the sequence after the block. The class token and its position train too. On
    Point-MAE at hidden 64 the adapters have 609,036 parameters, the prompts 9,216, scales and shifts 102,912, the
    tokens 768, and the head of three parts 365,839 for 15 classes: 1,087,771 together.
    """

    Config = DAPTConfig
    published = Published(points="1.1 M")
    modalities = frozenset({"points"})
    pooled_options = frozenset({"head_prompts", "head_patches"})
    merges = "in part"

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token

    def __init__(self, backbone: Backbone, config: DAPTConfig) -> None:
        super().__init__(backbone, config)
        dim, depth = backbone.widths[0], len(backbone.blocks)
        self.adapters = nn.ModuleList(DynamicAdapter(dim, config.hidden, config.dropout) for _ in range(depth))
        self.generators = nn.ModuleList(PromptGenerator(dim) for _ in range(depth))
        self.head_prompts, self.head_patches = config.head_prompts, config.head_patches
        self.extra_features = dim * (config.head_prompts + config.head_patches - 1)
        self._prompts = Tap()
        self._backbone = backbone
        self._place_positions(config.positions)
        self.unfreeze(backbone.parameters(backbone.class_token))
        self._wire_adapters()

    def _wire_adapters(self) -> None:
        self.admit_prompts(self._backbone, "dapt")
        for block, adapter, generator in zip(self._backbone.blocks, self.adapters, self.generators, strict=True):
            prompt = Tap()
            # of the authors' code at 080cbf8, models/DAPT.py: the adapter reads what the FFN reads, which is scaled and
            # shifted, and drop-path drops the two together; the prompt is made from what was not dropped
            self.add_before(block.ffn.out, partial(_adapt, adapter, generator, prompt), source=block.ffn.inner)
            self.after(block.module, partial(append, prompt))
        self.after(self._backbone.norm, partial(set_aside, len(self.adapters), self._prompts))

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; mean of prompts; max of patches] (B, 3 D), or without a part."""
        prompts, (class_token, patches) = self._prompts.take(), pooled.chunk(2, dim=-1)
        parts = [prompts.mean(dim=1)] * self.head_prompts + [patches] * self.head_patches
        return torch.cat([class_token, *parts], dim=-1)

    def merge(self) -> None:
        """Fold each scale and shift into the operation before it where that is exact. Adapters and prompts stay."""
        super().merge()  # removes the hooks of adapters and prompts too
        self._wire_adapters()

    def detach(self) -> None:
        """Give the backbone back as it was, and let it add positions before every block again."""
        super().detach()
        self._place_positions("every")

    def _place_positions(self, before: Literal["every", "once"]) -> None:
        body: Any = self._backbone.module
        body.positions = before


def _adapt(adapter: nn.Module, generator: nn.Module, prompt: Tap, u: Tensor) -> Tensor:
    """u (B, N, D) to the adapter's output a (B, N, D); the prompt made from GELU(a) goes into the tap."""
    a: Tensor = adapter(u)
    prompt.value = generator(F.gelu(a))
    return a
