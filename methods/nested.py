"""The modules of NOAH's supernet: the first w rows of each are a module of width w (arXiv:2206.04673).

Shapes: B samples, N tokens, D token width, W the width of a module, w the width in use. At w = 0 there is no module.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.layers import ACTIVATIONS

FAMILIES = ("adapter", "lora", "prompts")


class Nested(nn.Module):
    """A module with widths. Parameters in ``rows`` have W rows. Parameters in ``whole`` serve all widths but 0."""

    rows: tuple[str, ...]
    whole: tuple[str, ...] = ()

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.width, self.dropout = width, nn.Dropout(dropout)

    def row(self, name: str) -> Tensor:
        """The rows (w, ...) of a parameter that are in use."""
        parameter: Tensor = getattr(self, name)
        return parameter[: self.width]

    def count(self, width: int) -> int:
        """The number of parameters of this module at a width."""
        rows = sum(getattr(self, name)[:1].numel() for name in self.rows)
        return width * rows + sum(getattr(self, name).numel() for name in self.whole) if width else 0

    def resize(self, width: int) -> None:
        """Keep only the first rows. Rows that are missing for a larger width are zero until they are loaded."""
        names = [(name, width) for name in self.rows]
        names += [(name, len(getattr(self, name)) if width else 0) for name in self.whole]
        for name, length in names:
            old: Tensor = getattr(self, name)
            kept = old.detach()[:length]
            filled = torch.cat([kept, old.new_zeros(length - len(kept), *old.shape[1:])])
            setattr(self, name, nn.Parameter(filled))
        self.width = width

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # a task file holds only the rows that the search kept
        saved = state_dict.get(prefix + self.rows[0])
        if saved is not None and len(saved) != len(getattr(self, self.rows[0])):
            self.resize(len(saved))
            for name in self.whole:
                setattr(self, name, nn.Parameter(torch.zeros_like(state_dict[prefix + name])))
        super()._load_from_state_dict(state_dict, prefix, *args)


class NestedAdapter(Nested):
    """(B, N, D) -> (B, N, D): y + up(dropout(QuickGELU(down(y)))), the identity at the start.

    It has (2 D + 1) w + D parameters.
    """

    rows, whole = ("down", "down_bias", "up"), ("up_bias",)

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.down = nn.Parameter(torch.empty(width, dim))
        self.down_bias = nn.Parameter(torch.zeros(width))
        self.up = nn.Parameter(torch.zeros(width, dim))
        self.up_bias = nn.Parameter(torch.zeros(dim))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, y: Tensor) -> Tensor:
        if not self.width:
            return y
        hidden = ACTIVATIONS["quick_gelu"](F.linear(y, self.row("down"), self.row("down_bias")))
        out: Tensor = y + self.dropout(hidden) @ self.row("up") + self.up_bias
        return out


class NestedLowRank(Nested):
    """(B, N, D) -> (B, N, 3 D): one update for q, k and v together, zero at the start; 4 D w weights."""

    rows = ("down", "up")

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.down = nn.Parameter(torch.empty(width, dim))
        self.up = nn.Parameter(torch.zeros(width, 3 * dim))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.dropout(x), self.row("down")) @ self.row("up")


class NestedPrompts(Nested):
    """w tokens at the end of the sequence of one block, taken off after it; with ``positions`` each has one."""

    def __init__(self, dim: int, width: int, dropout: float, *, positions: bool) -> None:
        super().__init__(width, dropout)
        self.rows = ("prompts", "pos_embed") if positions else ("prompts",)
        for name in self.rows:
            self.register_parameter(name, nn.Parameter(torch.empty(width, dim)))
            nn.init.xavier_uniform_(getattr(self, name))

    def append(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N + w, D): put the prompts at the end."""
        prompts = torch.stack([self.row(name) for name in self.rows]).sum(0)
        return torch.cat([x, self.dropout(prompts).to(x.dtype).expand(len(x), -1, -1)], dim=1)

    def take_off(self, x: Tensor) -> Tensor:
        """(B, N + w, D) -> (B, N, D): take the prompts off."""
        return x[:, : x.shape[1] - self.width]
