"""FacT: the updates of all layers as one factorised tensor (Jie & Deng 2023, arXiv:2212.03145).

Shapes: D token width, r rank, S slices. Every linear is a grid of D x D pieces: proj has one, the fused qkv three, and
fc1 and fc2 have as many as the FFN is wider than a token. One slice (r, r) of the tensor's core updates one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method
from methods.errors import check
from methods.options import at_least, fraction

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class FacTConfig(base.Config):
    """``dropout`` acts between a slice and the up-projection, as in the authors' code."""

    lr: float = 1e-2
    rank: Annotated[int, at_least(1)] = 16
    scale: float = 1.0
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            rank=trial.suggest_categorical("rank", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 1e-2, 1e2, log=True),
        )


class TrainCore(nn.Module):
    """Every slice is free (tensor train): S r^2 weights.

    ``inputs``: per slice, how many pieces wide the input of its linear is, 4 for fc2 and 1 for the others. A slice
    starts uniform within +-1 / sqrt(inputs r), as the authors' code, where fc2 has one linear for its slices.
    """

    def __init__(self, inputs: Sequence[int], rank: int) -> None:
        super().__init__()
        start = torch.empty(len(inputs), rank, rank).uniform_(-(rank**-0.5), rank**-0.5)
        self.free = nn.Parameter(start / torch.tensor(inputs).sqrt().view(-1, 1, 1))

    def slices(self, start: int, stop: int) -> Tensor:
        return self.free[start:stop]


class TuckerCore(nn.Module):
    """Every slice is a mixture of r matrices that all slices share (Tucker): r^3 + S r weights."""

    def __init__(self, inputs: Sequence[int], rank: int) -> None:
        super().__init__()
        self.matrices = nn.Parameter(nn.init.xavier_uniform_(torch.empty(rank, rank, rank)))
        self.mixture = nn.Parameter(nn.init.xavier_uniform_(torch.empty(len(inputs), rank)))

    def slices(self, start: int, stop: int) -> Tensor:
        return torch.einsum("ijk,sk->sij", self.matrices, self.mixture[start:stop])


class SliceRange(NamedTuple):
    """The slices of one linear (outputs * D, inputs * D): inputs * outputs of them, from number ``start`` on."""

    start: int
    inputs: int
    outputs: int


class Factors(nn.Module):
    """The factors that all updates share: down U (r, D), a core, up V (D, r). V is zero at the start."""

    def __init__(self, dim: int, core: TrainCore | TuckerCore, config: FacTConfig) -> None:
        super().__init__()
        self.down = nn.Linear(dim, config.rank, bias=False)
        self.up = nn.Linear(config.rank, dim, bias=False)
        self.core, self.dropout, self.scale = core, nn.Dropout(config.dropout), config.scale
        nn.init.zeros_(self.up.weight)

    def slices(self, own: SliceRange) -> Tensor:
        """The slices of one linear: (inputs, outputs, r, r)."""
        # the core is not called as a module: torch's FLOP counter fails on a module that returns a parameter's view
        flat = self.core.slices(own.start, own.start + own.inputs * own.outputs)
        return flat.reshape(own.inputs, own.outputs, *flat.shape[1:])

    def delta(self, own: SliceRange) -> Tensor:
        """The weight update of one linear: (outputs * D, inputs * D)."""
        pieces: Tensor = torch.einsum("pj,abij,id->bpad", self.up.weight, self.slices(own), self.down.weight)
        return pieces.flatten(2).flatten(0, 1) * self.scale


def _update(factors: Factors, own: SliceRange, x: Tensor) -> Tensor:
    """(B, N, inputs * D) -> (B, N, outputs * D): scale * V S U x, piece by piece."""
    low = factors.down(x.unflatten(-1, (own.inputs, -1))).flatten(-2)
    mixed = low @ factors.slices(own).transpose(1, 2).flatten(2).flatten(0, 1)
    high: Tensor = factors.up(factors.dropout(mixed.unflatten(-1, (own.outputs, -1)) * factors.scale))
    return high.flatten(-2)


def _pieces(stage: Sequence[Block]) -> list[tuple[nn.Linear, SliceRange]]:
    """The linears of all blocks of a stage, each with its slices of the stage's core."""
    found, count, dim = list[tuple[nn.Linear, SliceRange]](), 0, stage[0].width
    for linear in (linear for block in stage for linear in block.targets.values()):
        widths = linear.in_features, linear.out_features
        check(not any(w % dim for w in widths), f"fact: widths {widths} must be multiples of the token's {dim}")
        found.append((linear, SliceRange(count, *(width // dim for width in widths))))
        count += widths[0] * widths[1] // dim**2
    return found


class FacT(Method):
    """dW = scale * V S U on every linear of every block, with one U and one V for all their pieces.

    A backbone with stages of different widths has a U, a V and a core for each stage.
    """

    Config = FacTConfig
    merges = "yes"
    core: ClassVar[type[TrainCore | TuckerCore]]

    def __init__(self, backbone: Backbone, config: FacTConfig) -> None:
        super().__init__(backbone, config)
        self.factors = nn.ModuleList()
        self._wired: list[tuple[nn.Linear, Factors, SliceRange]] = []
        for stage in backbone.stages:
            dim, pieces = stage[0].width, _pieces(stage)
            inputs = [own.inputs for _, own in pieces for _ in range(own.inputs * own.outputs)]
            factors = Factors(dim, self.core(inputs, config.rank), config)
            self.factors.append(factors)
            for linear, own in pieces:
                self._wired.append((linear, factors, own))
                self.beside(linear, partial(_update, factors, own))

    @torch.no_grad()
    def merge(self) -> None:
        """Add every update to its linear for good, and drop the hooks."""
        for linear, factors, own in self._wired:
            linear.weight += factors.delta(own)
        self._wired.clear()
        self.remove_hooks()


class FacTTT(FacT):
    """FacT with a free slice for every piece: 2 D r + S r^2 parameters, 61,440 at rank 16 on ViT-B/16."""

    core = TrainCore


class FacTTK(FacT):
    """FacT with slices mixed from r shared matrices: 2 D r + S r + r^3 parameters, 30,976 at rank 16 on ViT-B/16.

    Every piece of the FFN has its own slice, as in the equations. The authors' code divides four slices together into
    four pieces in another way.
    """

    core = TuckerCore
