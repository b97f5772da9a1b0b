"""APLA: random rows of attention's output projection train (Sorkhei et al. 2025, arXiv:2503.11335)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.options import at_least

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class APLAConfig(base.Config):
    """``rows``: how many output rows of each projection train; all of them where there are no more.

    The authors' configurations have 8 for NABirds, 128 for ImageNet, and all rows for pretraining.
    """

    lr: float = 1e-2
    rows: Annotated[int, at_least(1)] = 8

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), rows=trial.suggest_categorical("rows", [8, 32, 128, 768]))


class RowUpdate(nn.Module):
    """What training changes in r rows of a linear (in -> out) and in their biases, zero at the start.

    There are r (in + 1) weights, or r in if the linear has no bias.
    ``index`` (r,) says which rows. They are drawn once, without repetition, and are saved with the weights.
    """

    index: Tensor

    def __init__(self, linear: nn.Linear, rows: int) -> None:
        super().__init__()
        self.register_buffer("index", torch.randperm(linear.out_features)[:rows])
        self.weight = nn.Parameter(torch.zeros(len(self.index), linear.in_features))
        self.bias = nn.Parameter(torch.zeros(len(self.index))) if linear.bias is not None else None

    def add_to(self, output: Tensor, x: Tensor) -> Tensor:
        """Add the change to ``output`` (..., out) in place; the other features stay as they are."""
        return output.index_add_(-1, self.index, F.linear(x, self.weight, self.bias))

    @torch.no_grad()
    def fold_into(self, linear: nn.Linear) -> None:
        """Change the rows of the linear for good."""
        linear.weight[self.index] += self.weight
        if self.bias is not None:
            linear.bias[self.index] += self.bias


class APLA(Method):
    """W_O + dW and b_O + db in every block, where r random output rows of dW and entries of db are not zero.

    There are 12 r (768 + 1) parameters on ViT-B/16: 73,824 with 8 rows, and 7,087,104 with all 768.

    Training the rows themselves, as the authors do, has the same gradients. But here the optimizer sees the change
    alone, so weight decay draws the rows to their pretrained values and not to zero.
    """

    Config = APLAConfig
    needs_attention = True
    merges = "yes"

    def __init__(self, backbone: Backbone, config: APLAConfig) -> None:
        super().__init__(backbone, config)
        self.updates = nn.ModuleList()
        self._wired: list[tuple[nn.Linear, RowUpdate]] = []
        for block in backbone.blocks:
            block.attention("apla")
            linear = block.linear("proj", "apla")
            update = RowUpdate(linear, config.rows)
            self.updates.append(update)
            self._wired.append((linear, update))
            self.beside(linear, update)

    def merge(self) -> None:
        """Change the rows for good, and drop the hooks."""
        for linear, update in self._wired:
            update.fold_into(linear)
        self._wired.clear()
        self.remove_hooks()
