"""GLoRA: searched updates of the weight, the bias and the input of every linear (Chavan et al. 2023, arXiv:2306.07967).

Shapes: B samples, N tokens. A linear has a weight W (out, in) and a bias b (out,). r is the rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.options import at_least
from methods.protocols import Trainer
from methods.stages.search import Gene, Genes
from methods.stages.supernet import Supernet, SupernetConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna

NONE, SCALAR, VECTOR, LOW_RANK = range(4)  # the kinds of a support, by size
REDRAW = 0.2  # the probability that a mutant draws a gene again
SUPPORTS = ("A", "B", "C", "D", "E")  # the order of the genes of a linear


@dataclass(frozen=True, kw_only=True)
class GLoRAConfig(SupernetConfig):
    """``winner``: whether the best subnet keeps the supernet's weights, or starts from the first ones as in NOAH.

    The authors' winner keeps them and is tested at once. Here the recipe trains it further in both cases.
    """

    rank: Annotated[int, at_least(1)] = 4
    supernet_lr: float = 1e-4
    rounds: int = 20
    max_params: int = 1_000_000
    winner: Literal["inherited", "fresh"] = "inherited"

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            rank=trial.suggest_categorical("rank", [2, 4, 8]),
            max_params=trial.suggest_categorical("max_params", [250_000, 500_000, 1_000_000]),
        )


class Support(nn.Module):
    """A matrix (rows, columns) as up @ down, as the first column of up, as its first entry, or as nothing.

    The kinds share their weights. Up is zero at the start. Without ``columns`` there is no low-rank kind.
    """

    down: nn.Parameter | None

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.kinds = (NONE, SCALAR, VECTOR, LOW_RANK) if columns else (NONE, SCALAR, VECTOR)
        self.kind = self.kinds[-1]
        self.sizes = (0, 1, rows, rank * (rows + columns))
        self.up = nn.Parameter(torch.zeros(rows, rank if columns else 1))
        start = nn.init.xavier_uniform_(torch.empty(rank, columns)) if columns else None
        self.register_parameter("down", None if start is None else nn.Parameter(start))

    def value(self) -> Tensor | None:
        """(rows, columns), (rows, 1) or (1, 1); None for nothing."""
        if self.kind == LOW_RANK and self.down is not None:
            return self.up @ self.down
        return None if self.kind == NONE else self.up[: 1 if self.kind == SCALAR else None, :1]

    def slim(self, kind: int) -> None:
        """Drop every weight that a kind does not use."""
        rows = (0, 1, len(self.up), len(self.up))[kind]
        self.kind = kind
        if kind != LOW_RANK:
            self.up = nn.Parameter(self.up.detach()[:rows, : min(rows, 1)].clone())
            self.down = None if self.down is None else nn.Parameter(self.down.detach()[:0].clone())

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # a task file holds only what the search kept
        up, down = (state_dict.get(prefix + name) for name in ("up", "down"))
        kind = LOW_RANK if up is None or (down is not None and len(down)) else min(len(up), VECTOR)
        if self.sizes[kind] < sum(parameter.numel() for parameter in self.parameters()):
            self.slim(kind)
        super()._load_from_state_dict(state_dict, prefix, *args)


class Update(nn.Module):
    """What the five supports add to one linear. Without a bias there is no D, because D would scale nothing."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        rows, columns = linear.out_features, linear.in_features
        self.supports = nn.ModuleDict({name: Support(rows, columns, rank) for name in ("A", "B")})
        self.supports["C"] = Support(columns, 1, rank)
        for name in ("D", "E") if linear.bias is not None else ("E",):
            self.supports[name] = Support(rows, 0, rank)

    def deltas(self, linear: nn.Linear) -> tuple[Tensor | None, Tensor | None]:
        """W * A + B (out, in), and b * D + E + W C (out,), of a linear; None for zero."""
        a, b, c, d, e = (self.supports[name].value() if name in self.supports else None for name in SUPPORTS)  # type: ignore[operator]
        weight, bias = linear.weight, linear.bias
        change = [b, None if a is None else weight * a]
        shift = [e, None if d is None else bias[:, None] * d, None if c is None else weight @ c]
        return _sum(change, weight), _sum(shift, weight[:, :1], 1)


def _sum(terms: list[Tensor | None], like: Tensor, *dims: int) -> Tensor | None:
    """The sum of the terms in the shape of ``like``, without these dimensions; None if there is no term."""
    found = [term for term in terms if term is not None]
    return sum(found[1:], found[0]).expand_as(like).squeeze(dims) if found else None


def _added(update: Update, linear: nn.Linear, x: Tensor) -> Tensor:
    """What the deltas add to linear(x): (B, N, out), or one zero."""
    weight, bias = update.deltas(linear)
    if weight is not None:
        return F.linear(x, weight, bias)
    return x.new_zeros(1) if bias is None else bias.expand(*x.shape[:-1], -1)


class GLoRA(Supernet):
    """W + W * A + B and b + b * D + E + W C in place of W and b, for every linear of every block.

    A and B (out, in) are low-rank, a vector (one number per output), a scalar or nothing; C (in, 1) is low-rank, a
    vector or nothing; D and E (out, 1) are a vector, a scalar or nothing. A supernet has all of them, each step draws
    one kind for every support, and an evolution finds the best draw. The supernet at rank 4 has 1,603,776 parameters
    on ViT-B/16, and the winner at most ``max_params``. It merges exactly.

    The supernet trains on the training split and the search judges on validation; the authors judge on the test split.
    """

    Config = GLoRAConfig
    merges = "yes"

    def __init__(self, backbone: Backbone, config: GLoRAConfig) -> None:
        super().__init__(backbone, config)
        self.inherits = config.winner == "inherited"
        self.updates, self._wired = nn.ModuleList(), list[tuple[str, nn.Linear, Update]]()
        for block in backbone.blocks:
            for target, linear in block.targets.items():
                update = Update(linear, config.rank)
                self.updates.append(update)
                self._wired.append((target, linear, update))
                self.beside(linear, partial(_added, update, linear))

    def named(self) -> list[tuple[str, Support]]:
        """All supports with their letters, in the order of the genes."""
        updates: Any = self.updates
        return [item for update in updates for item in update.supports.items()]

    @property
    def space(self) -> list[Gene]:
        """One kind for every support. A scalar is no kind of C, as in the authors' code."""
        c = (NONE, VECTOR, LOW_RANK)
        return [Gene(c if letter == "C" else support.kinds, REDRAW) for letter, support in self.named()]

    def activate(self, genes: Genes) -> None:
        """Use the kinds that the genes name."""
        for (_, support), kind in zip(self.named(), genes, strict=True):
            support.kind = kind

    def slim(self, genes: Genes) -> None:
        """Drop every weight that the kinds do not use."""
        for (_, support), kind in zip(self.named(), genes, strict=True):
            support.slim(kind)

    def count(self, genes: Genes) -> int:
        """The number of parameters of a subnet."""
        return sum(support.sizes[kind] for (_, support), kind in zip(self.named(), genes, strict=True))

    def architecture(self, genes: Genes) -> dict[str, list[int]]:
        """The kinds by linear and support, block by block."""
        found, remaining = dict[str, list[int]](), iter(genes)
        for target, _, update in self._wired:
            for letter in update.supports:
                found.setdefault(f"{target} {letter}", []).append(next(remaining))
        return found

    def genes_of(self, architecture: Mapping[str, list[int]]) -> Genes:
        """The kinds, linear by linear."""
        rows = {name: iter(kinds) for name, kinds in architecture.items()}
        return tuple(
            next(rows[f"{target} {letter}"]) for target, _, update in self._wired for letter in update.supports
        )

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The kinds that the search found, and what the search cost."""
        return super().report(trainer) | {"architecture_values": "kind: 0 nothing, 1 scalar, 2 vector, 3 low-rank"}

    @torch.no_grad()
    def merge(self) -> None:
        """Add every delta to its linear for good, and drop the hooks. A linear without a bias may get one."""
        if not self._handles:
            return
        for _, linear, update in self._wired:
            weight, bias = update.deltas(linear)
            if bias is not None:
                linear.bias = nn.Parameter(bias if linear.bias is None else linear.bias + bias, requires_grad=False)
            if weight is not None:
                linear.weight += weight
        self.remove_hooks()
