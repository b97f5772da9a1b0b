"""RepAdapter: linear adapters that fold into the next layer (Luo et al. 2023, arXiv:2302.08106).

Shapes: B samples, N tokens, D token width, H hidden width, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.errors import check
from methods.options import LATER, at_least, fraction
from methods.parts.layers import add_bias

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class RepAdapterConfig(base.Config):
    """``dropout`` acts on the hidden units, as in the authors' code.

    ``bias``: both projections have biases, as in the authors' code; the paper's count is without them.
    """

    lr: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 8
    groups: Annotated[int, at_least(1)] = 2
    scale: float = 1.0
    dropout: Annotated[float, fraction] = 0.1
    bias: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.hidden % self.groups == 0, f"hidden={self.hidden} must be a multiple of groups={self.groups}")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 0.1, 10.0, log=True),
        )


class LinearAdapter(nn.Module):
    """(B, N, D) -> (B, N, D): x + scale * up(down(x)), the identity at the start.

    It has D H + D H / G weights, no activation, and D + H biases if there are any. Group g of the output reads only
    group g of the hidden units.
    """

    def __init__(self, dim: int, config: RepAdapterConfig) -> None:
        super().__init__()
        groups = config.groups
        self.down = nn.Linear(dim, config.hidden, bias=config.bias)
        self.up = nn.Parameter(torch.zeros(groups, config.hidden // groups, dim // groups))
        self.up_bias = nn.Parameter(torch.zeros(dim)) if config.bias else None
        self.dropout, self.scale = nn.Dropout(config.dropout), config.scale
        nn.init.xavier_uniform_(self.down.weight)
        if config.bias:
            nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.down(x) * self.scale).unflatten(-1, self.up.shape[:2])
        out = x + torch.einsum("...gh,gho->...go", hidden, self.up).flatten(-2)
        return out if self.up_bias is None else out + self.up_bias * self.scale

    def fold_into(self, linear: nn.Linear) -> None:
        """Make linear(x) compute what linear(adapter(x)) did: its weight becomes W + scale * (W up) down.

        With biases, its bias grows by scale * W (up b_down + b_up). It gets one if it has none.
        """
        through = self.scale * (linear.weight @ torch.block_diag(*self.up).T)
        if self.up_bias is not None:
            add_bias(linear, through @ self.down.bias + self.scale * (linear.weight @ self.up_bias))
        linear.weight += through @ self.down.weight


class RepAdapter(Method):
    """One linear adapter on the input of MHA and one on that of the FFN in every block; 221,184 weights on ViT-B/16.

    With ``bias`` it has 239,808. The authors also offer a penalty on the up-projection; it is off for their results.
    """

    Config = RepAdapterConfig
    needs_attention = True
    published = Published(image="0.22 M")
    merges = "yes"

    def __init__(self, backbone: Backbone, config: RepAdapterConfig) -> None:
        super().__init__(backbone, config)
        self.adapters = nn.ModuleList()
        self._wired: list[tuple[tuple[nn.Linear, ...], LinearAdapter]] = []
        for block in backbone.blocks:
            groups = f"repadapter: groups={config.groups} must divide the token width {block.width}"
            check(block.width % config.groups == 0, groups)
            for branch in (block.attention("repadapter"), block.ffn):
                adapter = LinearAdapter(block.width, config)
                self.adapters.append(adapter)
                self._wired.append((branch.reads, adapter))
                self.before(branch.inner, adapter)

    @torch.no_grad()
    def merge(self) -> None:
        """Fold every adapter into the linears that read it for good, and drop the hooks."""
        for linears, adapter in self._wired:
            for linear in linears:
                adapter.fold_into(linear)
        self._wired.clear()
        self.remove_hooks()
