"""Bi-AdaptFormer and Bi-LoRA: projections of one bit a weight (Jie et al. 2023, arXiv:2307.16867)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.adaptformer import AdaptFormer, AdaptFormerConfig
from methods.base import Backbone, Method
from methods.errors import check
from methods.layers import Bottleneck, LowRank
from methods.lora import FusedLowRank, LoRA, LoRAConfig

if TYPE_CHECKING:
    import optuna

    from benchmarks.training.train import Trainer

LEVEL = NormalDist().inv_cdf(0.75)  # the median of half a standard normal, 0.674, as in the authors' code
UP_DEVIATION = 1e-3  # of an up-projection's first values: an update of one bit a weight cannot start at zero


@dataclass(frozen=True, kw_only=True)
class BiAdaptFormerConfig(AdaptFormerConfig):
    hidden: int = 32
    scale: float = 1.0
    layer_norm: bool = False


@dataclass(frozen=True, kw_only=True)
class BiLoRAConfig(LoRAConfig):
    rank: int = 32
    alpha: float = 32.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.dropout < 1, f"dropout={self.dropout} must be below 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        rank = trial.suggest_categorical("rank", [8, 16, 32, 64])
        factor = trial.suggest_categorical("alpha_over_rank", [0.5, 1.0, 2.0, 4.0])
        return cls(**base.suggest_common(trial), rank=rank, alpha=factor * rank)


def one_bit(weight: Tensor) -> Tensor:
    """A weight of two values: mean + deviation * LEVEL where it is above its mean, mean - deviation * LEVEL elsewhere.

    The gradient is straight-through: of the standardised weight as if it had not been rounded, mean and deviation too.
    """
    mean, deviation = weight.mean(), weight.std()
    standard = (weight - mean) / deviation
    level = torch.where(standard > 0, LEVEL, -LEVEL).to(weight.dtype)
    # in this order, so that the added zero is exact and the values are two
    return mean + deviation * (level + (standard - standard.detach()))


class BinaryLinear(nn.Linear):
    """(..., in) -> (..., out): dropout, then a linear without bias that computes with ``one_bit`` of its weight."""

    def __init__(self, in_features: int, out_features: int, *, dropout: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.dropout, self.final = nn.Dropout(dropout), False

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.dropout(x), self.weight if self.final else one_bit(self.weight))

    @torch.no_grad()
    def finish(self) -> None:
        """Keep the two values alone: the weight that trained is lost, and nothing is rounded any more."""
        if not self.final:
            self.weight.copy_(one_bit(self.weight))
            self.final = True


class Binary(Method):
    """A method whose down- and up-projections have one bit a weight; its task file holds these bits.

    A matrix is stored as its bits and its two values, which say the same as its mean and deviation and lose nothing.
    """

    identity_at_start = False  # see UP_DEVIATION

    def _binarize(self, kind: type[Bottleneck] | type[LowRank], dropout: float) -> None:
        """Put binary projections in the place of the linears, biases included, of all modules of a kind."""
        for pair in [module for module in self.modules() if isinstance(module, kind)]:
            pair.down = BinaryLinear(pair.down.in_features, pair.down.out_features, dropout=0.0)
            pair.up = BinaryLinear(pair.up.in_features, pair.up.out_features, dropout=dropout)
            nn.init.trunc_normal_(pair.up.weight, std=UP_DEVIATION, a=-2 * UP_DEVIATION, b=2 * UP_DEVIATION)

    def _projections(self) -> Iterator[tuple[str, BinaryLinear]]:
        return ((name, module) for name, module in self.named_modules() if isinstance(module, BinaryLinear))

    def fit(self, trainer: Trainer) -> None:
        """Train, then keep the two values alone: what is tested is to the bit what the task file holds."""
        super().fit(trainer)
        self._finish()

    def merge(self) -> None:
        """Keep the two values alone, then do as the method without bits: LoRA folds its updates into the backbone."""
        self._finish()
        super().merge()

    def _finish(self) -> None:
        for _, projection in self._projections():
            projection.finish()

    def pack(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        packed = dict(state)
        for name, projection in self._projections():
            weight = packed.pop(f"{name}.weight")
            two = weight if projection.final else one_bit(weight)
            packed[f"{name}.values"] = torch.stack([two.min(), two.max()])
            packed[f"{name}.bits"] = to_bytes(two == two.max())
        return packed

    def unpack(self, packed: dict[str, Tensor]) -> dict[str, Tensor]:
        self._finish()
        state = dict(packed)
        for name, projection in self._projections():
            low, high = state.pop(f"{name}.values")
            bits = from_bytes(state.pop(f"{name}.bits"), projection.weight.shape)
            state[f"{name}.weight"] = torch.where(bits, high, low)
        return state


class BiAdaptFormer(Binary, AdaptFormer):
    """AdaptFormer with binary projections, without biases or norm: 589,824 on ViT-B/16, stored in 73,920 bytes."""

    Config = BiAdaptFormerConfig

    def __init__(self, backbone: Backbone, config: BiAdaptFormerConfig) -> None:
        super().__init__(backbone, config)
        self._binarize(Bottleneck, dropout=0.0)  # a bottleneck has its own


class BiLoRA(Binary, LoRA):
    """LoRA with binary projections: 1,179,648 on ViT-B/16, stored in 147,840 bytes."""

    Config = BiLoRAConfig

    def __init__(self, backbone: Backbone, config: BiLoRAConfig) -> None:
        super().__init__(backbone, config)
        self._binarize(LowRank, dropout=config.dropout)
        for update in self.updates:
            if isinstance(update, FusedLowRank):
                update.joint = False  # binary projections round and drop


def to_bytes(bits: Tensor) -> Tensor:
    """Booleans of any shape to bytes (n / 8 rounded up,), the first in the lowest bit, the last byte filled with 0."""
    flat = F.pad(bits.flatten().to(torch.uint8), (0, -bits.numel() % 8)).view(-1, 8)
    return (flat << torch.arange(8, dtype=torch.uint8, device=flat.device)).sum(dim=1, dtype=torch.uint8)


def from_bytes(packed: Tensor, shape: torch.Size) -> Tensor:
    """The booleans of this shape that ``to_bytes`` packed."""
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8, device=packed.device)) & 1
    return bits.flatten()[: shape.numel()].view(shape).bool()
