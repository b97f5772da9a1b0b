"""SNELL: sparse updates made by a kernel of low-rank factors (Shen et al. 2024, arXiv:2411.01800)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.errors import check
from methods.options import at_least, fraction
from methods.parts.layers import drop_samples
from methods.parts.updates import Target, Updates

if TYPE_CHECKING:
    import optuna

KERNEL_SCALE = 0.1  # of the difference of distances, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class SNELLConfig(base.Config):
    """``rank``: of both pairs of factors together. The authors' names, such as SNELL-32, have it as their number.

    ``sparsity``: the share of each update that is zero; the authors choose it task by task.
    ``kept``: what happens to the other entries w. "as_they_are" is the paper's equation; the authors' code multiplies w
    by its "magnitude" |w|, through which no gradient flows. The default is the paper's: the products of the code start
    at squares of small numbers, so they grow slowly.
    ``dropout`` acts on the input of every update but that of proj, and ``drop_path`` on the updates, as in the code.
    ``targets``: the matrices that are updated; empty: all of the blocks.
    """

    lr: float = 3e-3
    weight_decay: float = 1e-2
    rank: Annotated[int, at_least(2)] = 8
    sparsity: Annotated[float, fraction] = 0.9
    kept: Literal["as_they_are", "magnitude"] = "as_they_are"
    dropout: Annotated[float, fraction] = 0.1
    drop_path: Annotated[float, fraction] = 0.1
    targets: tuple[Target, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.rank % 2 == 0, f"rank={self.rank} must be even: half of it is for each of two distances")
        check(len(set(self.targets)) == len(self.targets), f"targets={self.targets} must be different")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            rank=trial.suggest_categorical("rank", [8, 16, 32]),
            sparsity=trial.suggest_categorical("sparsity", [0.0, 0.3, 0.6, 0.9, 0.99]),
        )


class KernelUpdate(nn.Module):
    """dW[o, i] = 0.1 (|p_o - q_i| - |p'_o - q'_i|), of which only the entries largest in size are kept.

    ``outputs`` (2, out, r / 2) holds the p and p', ``inputs`` (2, in, r / 2) the q and q': r (in + out) weights. dW can
    have any rank. Which entries are kept follows from the factors, so a task file needs no mask.
    """

    def __init__(self, in_features: int, out_features: int, config: SNELLConfig, *, dropout: float) -> None:
        super().__init__()
        half = config.rank // 2
        self.inputs, self.outputs = (
            nn.Parameter(torch.empty(2, size, half).uniform_(-1, 1) / (size * half) ** 0.5)
            for size in (in_features, out_features)
        )
        self.sparsity, self.kept = config.sparsity, config.kept
        self.dropout, self.drop_path = nn.Dropout(dropout), config.drop_path

    def forward(self, x: Tensor) -> Tensor:
        return drop_samples(F.linear(self.dropout(x), self.delta()), self.drop_path, training=self.training)

    def delta(self) -> Tensor:
        """The weight update (out, in)."""
        first, second = torch.cdist(self.outputs, self.inputs)
        return self._sparse(KERNEL_SCALE * (first - second))

    def _sparse(self, weight: Tensor) -> Tensor:
        if not self.sparsity:
            return weight
        sizes = weight.detach().abs()
        # the entries above the quantile; torch.quantile sorts all entries, and takes no more than 16 M of them
        count = sizes.numel() - 1 - int(self.sparsity * (sizes.numel() - 1))
        smallest = sizes.flatten().topk(count, sorted=False).values.amin(0)  # ONNX has no minimum over all dimensions
        factors = sizes if self.kept == "magnitude" else torch.ones_like(sizes)
        return weight * torch.where(sizes >= smallest, factors, 0)


class SNELL(Updates):
    """W x + sparse(dW) x on every matrix of the blocks; 1,327,104 parameters on ViT-B/16 at rank 8.

    These are the weights that train; a tenth of the 84.9 M entries of the updates is not zero. The authors report rank
    32 on VTAB-1K. A forward pass makes every dW once. Without ``merge`` a linear costs twice.
    """

    Config = SNELLConfig
    identity_at_start = False  # distances of random points differ

    def __init__(self, backbone: Backbone, config: SNELLConfig) -> None:
        super().__init__(backbone, config)
        for block in backbone.blocks:
            for target in config.targets or block.matrices:
                linear, rows = block.matrix(target, f"snell: target {target}")
                dropout = 0.0 if target == "proj" else config.dropout
                update = KernelUpdate(linear.in_features, rows.stop - rows.start, config, dropout=dropout)
                self.update((linear, rows), update)
