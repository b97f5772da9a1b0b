"""Parts that several methods share. Shapes: B batch, N tokens, D token width."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


class Bottleneck(nn.Module):
    """(B, N, D) -> (B, N, D): scale * up(dropout(act(down(x)))), zero at the start; 2 D hidden + hidden + D weights."""

    def __init__(self, dim: int, hidden: int, *, act: str, dropout: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.down = nn.Linear(dim, hidden)
        self.up = nn.Linear(hidden, dim)
        self.act, self.dropout, self.scale = act, nn.Dropout(dropout), scale
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.dropout(ACTIVATIONS[self.act](self.down(x))))
        return out if self.scale == 1.0 else out * self.scale


class LowRank(nn.Module):
    """(..., in) -> (..., out): scale * up(down(x)) without biases, zero at the start; rank (in + out) weights."""

    def __init__(self, in_features: int, out_features: int, rank: int, *, scale: float) -> None:
        super().__init__()
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=False)
        self.scale = scale
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.down(x) * self.scale)
        return out

    def delta(self) -> Tensor:
        """The weight update this adds to a linear: (out, in)."""
        return self.scale * (self.up.weight @ self.down.weight)
