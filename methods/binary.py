"""Bi-AdaptFormer and Bi-LoRA: projections with one bit per weight (Jie et al. 2023, arXiv:2307.16867)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Annotated, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.adaptformer import AdaptFormer, AdaptFormerConfig
from methods.backbone import Backbone
from methods.base import Method
from methods.lora import FusedLowRank, LoRA, LoRAConfig
from methods.options import fraction
from methods.parts.layers import Bottleneck, LowRank
from methods.protocols import Trainer

if TYPE_CHECKING:
    import optuna

LEVEL = NormalDist().inv_cdf(0.75)  # the median of half a standard normal, 0.674, as in the authors' code
# The standard deviation of an up-projection at the start. An update with one bit per weight cannot start at zero.
UP_DEVIATION = 1e-3
SCALES = (1e-2, 1e2)  # the range of a search over scale, as the authors' published values
EPSILON = 1e-5  # of the division by the deviation, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class BiAdaptFormerConfig(AdaptFormerConfig):
    hidden: int = 32
    scale: float = 1.0
    layer_norm: bool = False

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]),
            scale=trial.suggest_float("scale", *SCALES, log=True),
        )


@dataclass(frozen=True, kw_only=True)
class BiLoRAConfig(LoRAConfig):
    rank: int = 32
    alpha: float = 32.0
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        rank = trial.suggest_categorical("rank", [8, 16, 32, 64])
        factor = trial.suggest_float("alpha_over_rank", *SCALES, log=True)
        return cls(**base.suggest_common(trial), rank=rank, alpha=factor * rank)


def one_bit(weight: Tensor) -> Tensor:
    """Round a weight to two values.

    They are mean + deviation * LEVEL where the weight is above its mean, and mean - deviation * LEVEL elsewhere. The
    gradient is straight-through: it passes the rounding of the standardised weight as if there were none. It reaches
    the mean and the deviation too.
    """
    mean, deviation = weight.mean(), weight.std()
    standard = (weight - mean) / (deviation + EPSILON)
    level = torch.where(standard > 0, LEVEL, -LEVEL).to(weight.dtype)
    # in this order the added zero is exact, so there are exactly two values
    return mean + deviation * (level + (standard - standard.detach()))


class BinaryLinear(nn.Linear):
    """(..., in) -> (..., out): dropout, then a linear with ``one_bit`` of its weight and without a bias.

    ``final`` says that the weight has two values already.
    """

    def __init__(self, in_features: int, out_features: int, *, dropout: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.dropout, self.final = nn.Dropout(dropout), False

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.dropout(x), self.weight if self.final else one_bit(self.weight))

    @torch.no_grad()
    def finish(self) -> None:
        """Replace the weight by its two values for good. From then on nothing is rounded."""
        if not self.final:
            self.weight.copy_(one_bit(self.weight))
            self.final = True


class Binary(Method):
    """A method whose down- and up-projections have one bit per weight. Its task file holds these bits.

    It stores a matrix as its bits and its two values, which is exact.
    """

    identity_at_start = False  # up-projections start at random values (UP_DEVIATION)

    def _binarize(self, kind: type[Bottleneck] | type[LowRank], dropout: float) -> None:
        """Replace the linears and biases of every module of a kind by binary projections without biases."""
        for pair in [module for module in self.modules() if isinstance(module, kind)]:
            pair.down = BinaryLinear(pair.down.in_features, pair.down.out_features, dropout=0.0)
            pair.up = BinaryLinear(pair.up.in_features, pair.up.out_features, dropout=dropout)
            nn.init.trunc_normal_(pair.up.weight, std=UP_DEVIATION, a=-2 * UP_DEVIATION, b=2 * UP_DEVIATION)

    def projections(self) -> Iterator[tuple[str, BinaryLinear]]:
        """The binary projections by name, in the order of the blocks."""
        return ((name, module) for name, module in self.named_modules() if isinstance(module, BinaryLinear))

    def fit(self, trainer: Trainer) -> None:
        """Train, then keep only the two values. So the tested weights equal those in the task file bit for bit."""
        super().fit(trainer)
        self.finish()

    def merge(self) -> None:
        """Keep only the two values, then merge as the method without bits does."""
        self.finish()
        super().merge()

    def finish(self) -> None:
        """Replace the weights of all projections by their two values for good."""
        for _, projection in self.projections():
            projection.finish()

    def pack(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Replace each binary weight by its two values, low then high, and its bits, eight per byte."""
        packed = dict(state)
        for name, projection in self.projections():
            weight = packed.pop(f"{name}.weight")
            two = weight if projection.final else one_bit(weight)
            packed[f"{name}.values"] = torch.stack([two.min(), two.max()])
            packed[f"{name}.bits"] = to_bytes(two == two.max())
        return packed

    def unpack(self, packed: dict[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of ``pack``; the projections of this method become final."""
        self.finish()
        state = dict(packed)
        for name, projection in self.projections():
            low, high = state.pop(f"{name}.values")
            bits = from_bytes(state.pop(f"{name}.bits"), projection.weight.shape)
            state[f"{name}.weight"] = torch.where(bits, high, low)
        return state


class BiAdaptFormer(Binary, AdaptFormer):
    """AdaptFormer with binary projections, without biases and norm.

    589,824 parameters on ViT-B/16, stored in 73,920 bytes.
    """

    Config = BiAdaptFormerConfig

    def __init__(self, backbone: Backbone, config: BiAdaptFormerConfig) -> None:
        super().__init__(backbone, config)
        self._binarize(Bottleneck, dropout=0.0)  # a bottleneck has dropout of its own


class BiLoRA(Binary, LoRA):
    """LoRA with binary projections; 1,179,648 parameters on ViT-B/16, stored in 147,840 bytes."""

    Config = BiLoRAConfig

    def __init__(self, backbone: Backbone, config: BiLoRAConfig) -> None:
        super().__init__(backbone, config)
        self._binarize(LowRank, dropout=config.dropout)
        for update in self.updates:
            update.dropout = nn.Identity()  # the dropout of a binary projection stands before it
            if isinstance(update, FusedLowRank):
                update.joint = False  # a joint product has no rounding and no dropout


def to_bytes(bits: Tensor) -> Tensor:
    """Pack n booleans of any shape into ceil(n / 8) bytes.

    The first boolean is the lowest bit of the first byte. Unused bits of the last byte are 0.
    """
    flat = F.pad(bits.flatten().to(torch.uint8), (0, -bits.numel() % 8)).view(-1, 8)
    return (flat << torch.arange(8, dtype=torch.uint8, device=flat.device)).sum(dim=1, dtype=torch.uint8)


def from_bytes(packed: Tensor, shape: torch.Size) -> Tensor:
    """Unpack the booleans of this shape that ``to_bytes`` packed."""
    bits = (packed[:, None] >> torch.arange(8, dtype=torch.uint8, device=packed.device)) & 1
    return bits.flatten()[: shape.numel()].view(shape).bool()
