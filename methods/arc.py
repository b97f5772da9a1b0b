"""ARC: linear adapters of all blocks from one shared matrix, rescaled in each (Dong et al. 2023, arXiv:2310.06234).

Shapes: B samples, N tokens, D token width, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Branch
from methods.base import Method, Published
from methods.options import at_least, fraction
from methods.parts.layers import add_bias

if TYPE_CHECKING:
    import optuna

Start: TypeAlias = Literal["zero", "xavier"]


@dataclass(frozen=True, kw_only=True)
class ARCConfig(base.Config):
    """``position``: adapters before MHA and before the FFN, or before MHA alone (the authors' ARC_att).

    ``ffn_scale``: what the scales before the FFN start as. One of the authors' two models has "zero", as before MHA;
    the other one, which their script for VTAB-1K loads, has "xavier".
    """

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 50
    position: Literal["both", "attention"] = "both"
    ffn_scale: Start = "zero"
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        hidden = trial.suggest_categorical("hidden", [10, 25, 50, 100])
        return cls(**base.suggest_common(trial), hidden=hidden)


class Coefficients(nn.Module):
    """What a block has of its own: a scale of the H hidden units and a shift of D features, both zero at the start."""

    def __init__(self, dim: int, config: ARCConfig, start: Start) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.zeros(config.hidden)), nn.Parameter(torch.zeros(dim))
        self.dropout = nn.Dropout(config.dropout)
        if start == "xavier":
            nn.init.xavier_uniform_(self.scale[None])


class ARC(Method):
    """x + P^T (scale * (P x)) + shift on the input of MHA and of the FFN, with a P of H x D for each of the two.

    All blocks share P; a backbone of several stages has one of each kind per stage. Scale and shift are a block's own.
    2 D H + 2 L (H + D) parameters: 96,432 at H = 50 on ViT-B/16, and half of that before MHA alone. The paper prints
    0.13 M and 0.08 M. With VTAB-1K's mean head of 38,045 parameters the counts here agree, so we infer that these
    include it. The equations are those of the authors' code (DavidYanAnDe/ARC at 0f35d05, Model/ARC_ViT.py).
    """

    Config = ARCConfig
    published = Published(image="0.13 M with a head")
    merges = "yes"
    needs_attention = True

    def __init__(self, backbone: Backbone, config: ARCConfig) -> None:
        super().__init__(backbone, config)
        self.projections, self.rescalings = nn.ModuleList(), nn.ModuleList()
        self._wired: list[tuple[tuple[nn.Linear, ...], nn.Linear, Coefficients]] = []
        for stage in backbone.stages:
            self._wire([block.attention("arc") for block in stage], stage[0].width, "zero")
            if config.position == "both":
                self._wire([block.ffn for block in stage], stage[0].width, config.ffn_scale)

    def _wire(self, branches: Sequence[Branch], dim: int, start: Start) -> None:
        """One matrix for the inputs of all these branches."""
        config: Any = self.config
        projection = nn.Linear(dim, config.hidden, bias=False)
        nn.init.xavier_uniform_(projection.weight)
        self.projections.append(projection)
        for branch in branches:
            own = Coefficients(dim, config, start)
            self.rescalings.append(own)
            self._wired.append((branch.reads, projection, own))
            self.before(branch.inner, partial(_adapted, projection, own))

    @torch.no_grad()
    def merge(self) -> None:
        """Fold every adapter into the linears that read it for good, and drop the hooks."""
        for linears, projection, own in self._wired:
            for linear in linears:
                add_bias(linear, linear.weight @ own.shift)
                linear.weight += (linear.weight @ projection.weight.t() * own.scale) @ projection.weight
        self._wired.clear()
        self.remove_hooks()


def _adapted(projection: nn.Linear, own: Coefficients, x: Tensor) -> Tensor:
    """x (B, N, D) -> x + P^T dropout(scale * (P x)) + shift."""
    hidden = own.dropout(projection(x) * own.scale)
    return x + F.linear(hidden, projection.weight.t(), own.shift)
