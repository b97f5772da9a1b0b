"""MLAE: LoRA whose ranks are experts that training switches off at random (Wang et al. 2024, arXiv:2405.18897)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.options import at_least, fraction
from methods.parts.updates import Target, Updates, check_targets

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class MLAEConfig(base.Config):
    """``rank``: the number of experts per matrix. ``alpha``: each coefficient at the start.

    ``dropout``: the probability that an expert is off in a training step, for all samples and tokens.
    """

    lr: float = 1e-2
    rank: Annotated[int, at_least(1)] = 4
    alpha: float = 1.0
    dropout: Annotated[float, fraction] = 0.5
    targets: tuple[Target, ...] = ("q", "k", "v", "proj")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_targets(self.targets)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            rank=trial.suggest_categorical("rank", [2, 4, 8, 16]),
            dropout=trial.suggest_categorical("dropout", [0.0, 0.25, 0.5, 0.75]),
        )


class RankOneExperts(nn.Module):
    """(..., in) -> (..., out): B^T (A x * dropout(c)), zero at the start; r (in + out + 1) weights.

    Expert i of rank one is row i of A, row i of B and coefficient c_i. A is ``down``, and B^T is ``up``.
    """

    def __init__(self, in_features: int, out_features: int, config: MLAEConfig) -> None:
        super().__init__()
        self.down = nn.Linear(in_features, config.rank, bias=False)
        self.up = nn.Linear(config.rank, out_features, bias=False)
        self.coefficients = nn.Parameter(torch.full((config.rank,), config.alpha))
        self.dropout = config.dropout
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        coefficients = F.dropout(self.coefficients, self.dropout, self.training)
        out: Tensor = self.up(self.down(x) * coefficients)
        return out

    def delta(self) -> Tensor:
        """The weight update (out, in), with all experts on."""
        return self.up.weight @ (self.coefficients[:, None] * self.down.weight)


class MLAE(Updates):
    """W x + B^T (A x * dropout(c)) on the targets of every block; 295,104 parameters on ViT-B/16.

    The mask is the paper's stochastic one: each expert is on or off for a whole step, and those that are on are scaled
    up. There is no alpha / r. The rank and the dropout are chosen here.
    """

    Config = MLAEConfig

    def __init__(self, backbone: Backbone, config: MLAEConfig) -> None:
        super().__init__(backbone, config)
        for block in backbone.blocks:
            for target in config.targets:
                linear, rows = block.matrix(target, f"mlae: target {target}")
                self.update((linear, rows), RankOneExperts(linear.in_features, rows.stop - rows.start, config))
