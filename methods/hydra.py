"""Hydra: parallel and sequential low-rank branches of linears (Kim et al. 2023, arXiv:2309.06922)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.options import at_least, fraction
from methods.parts.layers import add_bias
from methods.parts.updates import check_targets

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class HydraConfig(base.Config):
    """``bias``: the projections have biases, as in the authors' code; the equations of the paper have none.

    The authors choose ``scale`` and ``dropout``, which acts on the hidden units, task by task.
    """

    lr: float = 1e-2
    rank: Annotated[int, at_least(1)] = 2
    scale: float = 1.0
    dropout: Annotated[float, fraction] = 0.1
    bias: bool = True
    targets: tuple[Literal["proj", "fc1", "fc1_g", "fc1_x", "fc2"], ...] = ("proj", "fc2")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_targets(self.targets)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            rank=trial.suggest_categorical("rank", [2, 4, 8]),
            scale=trial.suggest_float("scale", 0.1, 10.0, log=True),
        )


class LowRankBranch(nn.Module):
    """(..., in) -> (..., out): scale * up(dropout(down(x))), zero at the start; r (in + out) + r + out parameters.

    Without biases there are r (in + out).
    """

    def __init__(self, in_features: int, out_features: int, config: HydraConfig) -> None:
        super().__init__()
        self.down = nn.Linear(in_features, config.rank, bias=config.bias)
        self.up = nn.Linear(config.rank, out_features, bias=config.bias)
        self.scale, self.dropout = config.scale, nn.Dropout(config.dropout)
        nn.init.xavier_uniform_(self.down.weight)
        for zero in [self.up.weight, *([self.down.bias, self.up.bias] if config.bias else [])]:
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.dropout(self.down(x))) * self.scale
        return out

    def affine(self) -> tuple[Tensor, Tensor]:
        """The matrix (out, in) and the shift (out,) of this branch without dropout."""
        matrix: Tensor = self.scale * (self.up.weight @ self.down.weight)
        if self.up.bias is None:
            return matrix, matrix.new_zeros(len(matrix))
        return matrix, self.scale * (self.up.weight @ self.down.bias + self.up.bias)


def _and_more(branch: LowRankBranch, y: Tensor) -> Tensor:
    out: Tensor = y + branch(y)
    return out


class Hydra(Method):
    """y + s P(x) + s S(y) of y = W x + b, on attention's projection and the FFN's last linear of every block.

    P and S are linear branches of rank 2 with biases. They have 239,712 parameters on ViT-B/16, and 202,752 without
    biases. With the mean head of VTAB-1K's 19 tasks the first are the 0.28 M that the paper prints.
    """

    Config = HydraConfig
    published = Published(image="0.28 M with a head")
    merges = "yes"

    def __init__(self, backbone: Backbone, config: HydraConfig) -> None:
        super().__init__(backbone, config)
        self.parallel, self.sequential = nn.ModuleList(), nn.ModuleList()
        self.bias = config.bias
        self._wired: list[tuple[nn.Linear, LowRankBranch, LowRankBranch]] = []
        for block in backbone.blocks:
            for linear in [block.linear(target, f"hydra: target {target}") for target in config.targets]:
                parallel = LowRankBranch(linear.in_features, linear.out_features, config)
                sequential = LowRankBranch(linear.out_features, linear.out_features, config)
                self.parallel.append(parallel)
                self.sequential.append(sequential)
                self._wired.append((linear, parallel, sequential))
                self.after(linear, partial(_and_more, sequential))  # first, because it reads y alone
                self.beside(linear, parallel)

    @torch.no_grad()
    def merge(self) -> None:
        """Make W' = W + s P + s S W and the same of the biases for good, and drop the hooks."""
        for linear, parallel, sequential in self._wired:
            (parallel_matrix, shift), (matrix, sequential_shift) = parallel.affine(), sequential.affine()
            linear.weight += parallel_matrix + matrix @ linear.weight
            if linear.bias is not None:
                linear.bias.add_(matrix @ linear.bias)
            if self.bias:
                add_bias(linear, shift + sequential_shift)
        self._wired.clear()
        self.remove_hooks()
