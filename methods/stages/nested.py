"""The modules of NOAH's supernet: the first w rows of each are a module of width w (arXiv:2206.04673).

Shapes: B samples, N tokens, D token width, W the width of a module, w the width in use. At w = 0 there is no module.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.layers import ACTIVATIONS
from methods.stages.search import Gene, Genes

FAMILIES = ("adapter", "lora", "prompts")
DEVIATION = 0.02  # of the first weights of every linear; the authors' initialisation of the whole model sets it
PROMPT_ROWS = 100  # of the authors' supernet on every data set
REDRAW_DEPTH, REDRAW_WIDTH = 0.4, 0.2  # the probability that a mutant draws a gene again


@dataclass(frozen=True)
class Space:
    """All subnets. For each family the genes are a depth and then the width of every block.

    A block at or beyond the depth has width 0. The depths to choose from are quarters of the blocks.
    """

    families: int
    blocks: int
    widths: tuple[int, ...]

    @property
    def genes(self) -> list[Gene]:
        """The values to choose from, gene by gene."""
        depths = tuple(sorted({max(1, self.blocks * quarter // 4) for quarter in (1, 2, 3, 4)}))
        return [Gene(depths, REDRAW_DEPTH), *[Gene(self.widths, REDRAW_WIDTH)] * self.blocks] * self.families

    def widths_of(self, genes: Genes) -> list[tuple[int, ...]]:
        """The width of every block, by family."""
        families = [genes[i : i + 1 + self.blocks] for i in range(0, len(genes), 1 + self.blocks)]
        return [tuple(w * (i < depth) for i, w in enumerate(widths)) for depth, *widths in families]

    def genes_of(self, families: Sequence[Sequence[int]]) -> Genes:
        """The inverse of ``widths_of``, with any width of the space where it makes no difference."""
        depths = [sum(width > 0 for width in widths) for widths in families]
        rows = zip(depths, families, strict=True)
        return tuple(gene for depth, widths in rows for gene in (depth, *(w or self.widths[0] for w in widths)))


class Nested(nn.Module):
    """A module with widths. Parameters in ``rows`` have W rows. Parameters in ``whole`` serve all widths but 0."""

    rows: tuple[str, ...]
    whole: tuple[str, ...] = ()

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.width, self.dropout = width, dropout

    def row(self, name: str) -> Tensor:
        """The rows (w, ...) of a parameter that are in use."""
        parameter: Tensor = getattr(self, name)
        return parameter[: self.width]

    def dropped(self, x: Tensor) -> Tensor:
        """Dropout in training. It is a function: torch's FLOP counter fails on a module that returns a view."""
        return F.dropout(x, self.dropout, self.training)

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
    """(B, N, D) -> (B, N, D): y + up(dropout(QuickGELU(down(y)))); (2 D + 1) w + D parameters."""

    rows, whole = ("down", "down_bias", "up"), ("up_bias",)

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.down, self.up = (_normal(width, dim) for _ in range(2))
        self.down_bias, self.up_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(dim))

    def forward(self, y: Tensor) -> Tensor:
        if not self.width:
            return y
        hidden = ACTIVATIONS["quick_gelu"](F.linear(y, self.row("down"), self.row("down_bias")))
        return y + self.dropped(hidden) @ self.row("up") + self.up_bias


class NestedLowRank(Nested):
    """(B, N, D) -> (B, N, 3 D): one update for q, k and v together; 4 D w weights."""

    rows = ("down", "up")

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        self.down, self.up = _normal(width, dim), _normal(width, 3 * dim)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.dropped(x), self.row("down")) @ self.row("up")


class NestedPrompts(Nested):
    """The w prompts of one block; w D weights.

    They start uniform within +-sqrt(6 / (101 D)), the Xavier bound of the authors' tensor (1, 100, D).
    """

    rows = ("prompts",)

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__(width, dropout)
        bound = (6 / ((PROMPT_ROWS + 1) * dim)) ** 0.5
        self.prompts = nn.Parameter(torch.empty(width, dim).uniform_(-bound, bound))

    def tokens(self, samples: int) -> Tensor:
        """(B, w, D): the prompts for each of B samples, each with dropout of its own."""
        return self.dropped(self.row("prompts").expand(samples, -1, -1))


def exchange(family: Sequence[NestedPrompts], block: int, x: Tensor) -> Tensor:
    """(B, N, D) -> (B, N', D): put the prompts of a block at the end, in place of those of an earlier block.

    A block without prompts leaves the earlier ones in place.
    """
    if not family[block].width:
        return x
    return torch.cat([take_off(family, block, x), family[block].tokens(x.shape[0]).to(x.dtype)], dim=1)


def take_off(family: Sequence[NestedPrompts], block: int, x: Tensor) -> Tensor:
    """Take off the prompts that are in place before a block: those of the last earlier block that has some."""
    in_place = next((width for i in reversed(range(block)) if (width := family[i].width)), 0)
    return x[:, : x.shape[1] - in_place]


def _normal(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=DEVIATION))
