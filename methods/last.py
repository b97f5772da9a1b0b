"""LAST: low-rank attention beside a backbone that only computes features (Tang et al. 2024, arXiv:2402.04009).

Shapes: B samples, N tokens, D token width, r rank, L blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.hooks import Tap
from methods.options import at_least

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class LASTConfig(base.Config):
    """``rank``: the width of the queries, keys and values, which have one head."""

    lr: float = 3e-3
    rank: Annotated[int, at_least(1)] = 16

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), rank=trial.suggest_categorical("rank", [4, 8, 16, 32]))


class LowRankAttention(nn.Module):
    """(B, N, D) -> (B, N, D): up(attention of q, k and v) with q, k, v = LN(x) W of width r, zero at the start.

    It has 4 D r + 2 D parameters.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * rank, bias=False)
        self.up = nn.Linear(rank, dim, bias=False)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm(x))[:, None].chunk(3, dim=-1)  # (B, 1, N, r): one head
        out: Tensor = self.up(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return out


class LAST(Method):
    """A side network reads what enters every block and what leaves the last, z_0 to z_m, and is added to z_m.

    s_i = z_0 + ... + z_i + a_0 + ... + a_(i-1), a_i = LSA_i(s_i), and the last norm reads z_m + a_0 + ... + a_m. No
    gradient passes through any block. 658,944 parameters at rank 16 on ViT-B/16. A backbone of several stages has the
    side network beside the last one (chosen here).

    There is no code, and of the paper only summaries were read: they have the low-rank attention, the sums of all
    z, and that the sum of the frozen ones is taken off at the end. What is inferred: LSA_m on the last output, a norm
    before each and no biases, which give the printed 0.66 M; and that the correction is added to z_m.
    """

    Config = LASTConfig
    published = Published(image="0.66 M")
    stochastic_backbone = False  # it computes features

    def __init__(self, backbone: Backbone, config: LASTConfig) -> None:
        super().__init__(backbone, config)
        stage = backbone.stages[-1]
        self.parts = nn.ModuleList(LowRankAttention(stage[0].width, config.rank) for _ in (*stage, "output"))
        self._entered = [Tap() for _ in stage]
        for block, tap in zip(stage, self._entered, strict=True):
            self.read(block.module, tap.put)
        self.after(stage[-1].module, self.corrected)

    def corrected(self, output: Tensor) -> Tensor:
        """What leaves the last block (B, N, D), plus the updates of the whole side network."""
        total = update = output.new_zeros(())
        for part, z in zip(self.parts, [*(tap.look() for tap in self._entered), output], strict=True):
            total = total + z
            own = part(total)
            total, update = total + own, update + own
        return output + update
