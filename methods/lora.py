"""LoRA: low-rank updates of the pretrained linears (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.errors import check
from methods.options import LATER, at_least, fraction
from methods.parts.layers import LowRank
from methods.parts.updates import check_targets

if TYPE_CHECKING:
    import optuna

PARTS = ("q", "k", "v")  # the parts of the fused qkv, in its order
SINGLES = ("proj", "fc1", "fc1_g", "fc1_x", "fc2")  # the other targets


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(base.Config):
    """``targets``: the linears of a block that get an update; q, k and v may be parts of one linear.

    A gated FFN has fc1_g and fc1_x in place of fc1. Blocks without attention have fc1 and fc2 alone.

    ``shared``: one A and one B for q, k and v together, as in NOAH's code. ``dropout`` acts on the input of A.
    """

    lr: float = 1e-2
    rank: Annotated[int, at_least(1)] = 8
    alpha: float = 8.0
    targets: tuple[Literal["q", "k", "v", "proj", "fc1", "fc1_g", "fc1_x", "fc2"], ...] = ("q", "v")
    shared: bool = field(default=False, metadata=LATER)
    dropout: Annotated[float, fraction] = field(default=0.0, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_targets(self.targets)
        whole = set(PARTS) <= set(self.targets)
        check(
            whole or not self.shared, f"shared=True is one update of q, k and v; targets={self.targets} must have them"
        )

    @property
    def alpha_over_rank(self) -> float:
        """The value that a hyper-parameter search varies in place of alpha."""
        return self.alpha / self.rank

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        rank = trial.suggest_categorical("rank", [2, 4, 8, 16])
        factor = trial.suggest_categorical("alpha_over_rank", [0.5, 1.0, 2.0, 4.0])
        return cls(**base.suggest_common(trial), rank=rank, alpha=factor * rank)


class FusedLowRank(nn.Module):
    """(B, N, D) -> (B, N, 3 D): an update for each of ``parts`` and zero for the other ones of q, k and v."""

    joint = True  # all parts are one product; set False if a projection does more than multiply

    def __init__(self, dim: int, parts: tuple[str, ...], rank: int, *, scale: float, dropout: float) -> None:
        super().__init__()
        self.parts, self.dim, self.scale, self.dropout = parts, dim, scale, nn.Dropout(dropout)
        self.updates = nn.ModuleDict({part: LowRank(dim, dim, rank, scale=scale) for part in parts})

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        return F.linear(*self._joined(x)) if self.joint else self._apart(x)

    def add_to(self, output: Tensor, x: Tensor) -> Tensor:
        """Add self(x) to ``output`` (B, N, 3 D) in place. A joint update makes no other tensor of that size."""
        x = self.dropout(x)
        if not self.joint:
            return output.add_(self._apart(x))
        hidden, ups = self._joined(x)
        return output.baddbmm_(hidden, ups.t().to(hidden.dtype).expand(hidden.shape[0], -1, -1))

    def _joined(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The factors scale * down(x) and up of one update whose rank is the sum of the ranks of all parts.

        This reads and writes the tokens once, not once per part.
        """
        updates: dict[str, Any] = {part: self.updates[part] for part in self.parts}
        downs = torch.cat([updates[part].down.weight for part in self.parts])
        silent = downs.new_zeros(self.dim, 0)  # a part without an update adds rows of zeros and no columns
        ups = torch.block_diag(*[updates[part].up.weight if part in updates else silent for part in PARTS])
        return F.linear(x, downs) * self.scale, ups

    def _apart(self, x: Tensor) -> Tensor:
        silent = x.new_zeros(()).expand(*x.shape[:-1], self.dim)
        return torch.cat([self.updates[part](x) if part in self.parts else silent for part in PARTS], dim=-1)

    def delta(self) -> Tensor:
        """The weight update that this adds to qkv: (3 D, D)."""
        weight = next(self.parameters())
        silent = weight.new_zeros(self.dim, self.dim)
        deltas = {part: update.delta() for part, update in self.updates.items()}  # type: ignore[operator]
        return torch.cat([deltas.get(part, silent) for part in PARTS])


class LoRA(Method):
    """W x + (alpha / rank) B A x on the targets of every block; 294,912 parameters at rank 8 on q and v of ViT-B/16.

    ``shared`` with q, k and v has as many, and dropout 0.1: the published 74.6 on VTAB-1K is of that form. NOAH's code,
    which it comes from, draws B from a truncated normal of 0.02 as well; here B starts at zero, as in LoRA's paper.
    """

    Config = LoRAConfig
    published = Published(image="0.29 M")
    merges = "yes"

    def __init__(self, backbone: Backbone, config: LoRAConfig) -> None:
        super().__init__(backbone, config)
        given: dict[str, Any] = {"scale": config.alpha / config.rank, "dropout": config.dropout}
        parts = tuple(part for part in PARTS if part in config.targets)
        self.updates = nn.ModuleList()
        self.wired: list[tuple[nn.Linear, nn.Module]] = []  # every linear with its update
        for block in backbone.blocks:
            fused = "qkv" in block.targets
            if parts and fused and not config.shared:
                qkv = block.targets["qkv"]
                self._wire(qkv, FusedLowRank(qkv.in_features, parts, config.rank, **given))
            own = [target for target in SINGLES if target in config.targets]
            first = ["qkv"] if config.shared else [] if fused else [*parts]
            for linear in [block.linear(target, f"lora: target {target}") for target in [*first, *own]]:
                self._wire(linear, LowRank(linear.in_features, linear.out_features, config.rank, **given))

    def _wire(self, linear: nn.Linear, update: nn.Module) -> None:
        self.updates.append(update)
        self.wired.append((linear, update))
        self.beside(linear, update)

    @torch.no_grad()
    def merge(self) -> None:
        """Add every update to its linear for good, and drop the hooks."""
        for linear, update in self.wired:
            linear.weight += update.delta()  # type: ignore[operator]
        self.wired.clear()
        self.remove_hooks()
