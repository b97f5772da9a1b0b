"""RepAdapter: linear adapters that fold into the next layer (Luo et al. 2023, arXiv:2302.08106).

Shapes: B samples, N tokens, D token width, H hidden width, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Method, Published
from methods.errors import check

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class RepAdapterConfig(base.Config):
    """``dropout`` is that of the authors' code: on the hidden units."""

    lr: float = 1e-2
    hidden: int = 8
    groups: int = 2
    scale: float = 1.0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "groups"):
            check(getattr(self, name) >= 1, f"{name}={getattr(self, name)} must be at least 1")
        check(self.hidden % self.groups == 0, f"hidden={self.hidden} must be a multiple of groups={self.groups}")
        check(self.dropout < 1, f"dropout={self.dropout} must be below 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 0.1, 10.0, log=True),
        )


class LinearAdapter(nn.Module):
    """(B, N, D) -> (B, N, D): x + scale * up(down(x)), the identity at the start; D H + D H / G weights.

    Without an activation and without biases. Group g of the hidden units alone makes group g of the output.
    """

    def __init__(self, dim: int, config: RepAdapterConfig) -> None:
        super().__init__()
        groups = config.groups
        self.down = nn.Linear(dim, config.hidden, bias=False)
        self.up = nn.Parameter(torch.zeros(groups, config.hidden // groups, dim // groups))
        self.dropout, self.scale = nn.Dropout(config.dropout), config.scale
        nn.init.xavier_uniform_(self.down.weight)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.down(x) * self.scale).unflatten(-1, self.up.shape[:2])
        return x + torch.einsum("...gh,gho->...go", hidden, self.up).flatten(-2)

    def fold_into(self, linear: nn.Linear) -> None:
        """Make linear(x) what linear(adapter(x)) was: W + scale * (W up) down."""
        linear.weight += self.scale * (linear.weight @ torch.block_diag(*self.up).T) @ self.down.weight


class RepAdapter(Method):
    """A linear adapter on what enters MHA and one on what enters the FFN, in every block: 221,184 on ViT-B/16."""

    Config = RepAdapterConfig
    published = Published(image="0.22 M")

    def __init__(self, backbone: Backbone, config: RepAdapterConfig) -> None:
        super().__init__(backbone, config)
        dim = backbone.num_features
        check(dim % config.groups == 0, f"repadapter: groups={config.groups} must divide the token width {dim}")
        self.adapters = nn.ModuleList()
        self._wired: list[tuple[nn.Linear, LinearAdapter]] = []
        for block in backbone.blocks:
            for linear in (block.attn.qkv, block.mlp.fc1):  # the first operations of MHA and of the FFN
                adapter = LinearAdapter(dim, config)
                self.adapters.append(adapter)
                self._wired.append((linear, adapter))
                self.before(linear, adapter)

    @torch.no_grad()
    def merge(self) -> None:
        """Fold every adapter into the linear after it, once and for good, and drop the hooks."""
        for linear, adapter in self._wired:
            adapter.fold_into(linear)
        self._wired.clear()
        self.remove_hooks()
