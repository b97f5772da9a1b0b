"""LoRA: low-rank updates of the pretrained linears (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Method, Published
from methods.errors import check
from methods.layers import LowRank

if TYPE_CHECKING:
    import optuna

PARTS = ("q", "k", "v")  # of the fused qkv, in its order


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(base.Config):
    lr: float = 1e-2
    rank: int = 8
    alpha: float = 8.0
    targets: tuple[Literal["q", "k", "v", "proj", "fc1", "fc2"], ...] = ("q", "v")

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.rank >= 1, f"rank={self.rank} must be at least 1")
        check(
            len(set(self.targets)) == len(self.targets) > 0, f"targets={self.targets} must be different and not empty"
        )

    @property
    def alpha_over_rank(self) -> float:
        """What the search varies in the place of alpha."""
        return self.alpha / self.rank

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        rank = trial.suggest_categorical("rank", [2, 4, 8, 16])
        factor = trial.suggest_categorical("alpha_over_rank", [0.5, 1.0, 2.0, 4.0])
        return cls(**base.suggest_common(trial), rank=rank, alpha=factor * rank)


class FusedLowRank(nn.Module):
    """(B, N, D) -> (B, N, 3 D): one update each for some of q, k and v, zero for the others."""

    joint = True  # as one product; not where a projection does more than multiply

    def __init__(self, dim: int, parts: tuple[str, ...], rank: int, scale: float) -> None:
        super().__init__()
        self.parts, self.dim, self.scale = parts, dim, scale
        self.updates = nn.ModuleDict({part: LowRank(dim, dim, rank, scale=scale) for part in parts})

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(*self._joined(x)) if self.joint else self._apart(x)

    def add_to(self, output: Tensor, x: Tensor) -> Tensor:
        """``output`` (B, N, 3 D) += self(x), in place; jointly, no other tensor of its size is made."""
        if not self.joint:
            return output.add_(self._apart(x))
        hidden, ups = self._joined(x)
        return output.baddbmm_(hidden, ups.t().to(hidden.dtype).expand(len(hidden), -1, -1))

    def _joined(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two factors of all parts as one update of their joint rank, which reads and writes the tokens once."""
        updates: dict[str, Any] = {part: self.updates[part] for part in self.parts}
        downs = torch.cat([updates[part].down.weight for part in self.parts])
        silent = downs.new_zeros(self.dim, 0)  # rows without columns
        ups = torch.block_diag(*[updates[part].up.weight if part in updates else silent for part in PARTS])
        return F.linear(x, downs) * self.scale, ups

    def _apart(self, x: Tensor) -> Tensor:
        silent = x.new_zeros(()).expand(*x.shape[:-1], self.dim)
        return torch.cat([self.updates[part](x) if part in self.parts else silent for part in PARTS], dim=-1)

    def delta(self) -> Tensor:
        """The weight update: (3 D, D)."""
        weight = next(self.parameters())
        silent = weight.new_zeros(self.dim, self.dim)
        deltas = {part: update.delta() for part, update in self.updates.items()}  # type: ignore[operator]
        return torch.cat([deltas.get(part, silent) for part in PARTS])


class LoRA(Method):
    """W x + (alpha / rank) B A x on the targets of every block: 294,912 at rank 8 on q and v of ViT-B/16."""

    Config = LoRAConfig
    published = Published(image="0.29 M")

    def __init__(self, backbone: Backbone, config: LoRAConfig) -> None:
        super().__init__(backbone, config)
        scale = config.alpha / config.rank
        fused = tuple(part for part in PARTS if part in config.targets)
        self.updates = nn.ModuleList()
        self._wired: list[tuple[nn.Linear, nn.Module]] = []
        for block in backbone.blocks:
            if fused:
                self._wire(block.attn.qkv, FusedLowRank(block.attn.qkv.in_features, fused, config.rank, scale))
            singles = {"proj": block.attn.proj, "fc1": block.mlp.fc1, "fc2": block.mlp.fc2}
            for name, linear in singles.items():
                if name in config.targets:
                    self._wire(linear, LowRank(linear.in_features, linear.out_features, config.rank, scale=scale))

    def _wire(self, linear: nn.Linear, update: nn.Module) -> None:
        self.updates.append(update)
        self._wired.append((linear, update))
        self.beside(linear, update)

    @torch.no_grad()
    def merge(self) -> None:
        """Add every update to its linear, once and for good, and drop the hooks."""
        for linear, update in self._wired:
            linear.weight += update.delta()  # type: ignore[operator]
        self._wired.clear()
        self.remove_hooks()
