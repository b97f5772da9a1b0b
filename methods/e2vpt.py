"""E2VPT: prompts at the input and in keys and values, pruned and trained again (Han et al. 2023, arXiv:2307.13770).

Shapes: B samples, N tokens, D token width, P prompts, K rows of keys and of values, S pieces of a prompt, L blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method
from methods.errors import check
from methods.options import at_least, fraction
from methods.parts.layers import Prompts, drop_last
from methods.protocols import Trainer
from methods.stages.selection import Selecting

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class E2VPTConfig(base.Config):
    """``rows``: the learned keys and values of each block. ``shared``: the keys are the values, too.

    ``pruned``: the share of the prompts, and ``pruned_pieces`` the share of the pieces of each prompt, that are set to
    zero after a first training. The authors choose both task by task, from 0.1 to 0.9 in steps of 0.1, on validation
    data; 0.5 is chosen here. With 0 for both there is one training and no pruning.
    """

    lr: float = 1e-2
    prompts: Annotated[int, at_least(1)] = 10
    rows: Annotated[int, at_least(1)] = 5
    shared: bool = False
    pieces: Annotated[int, at_least(1)] = 16
    pruned: Annotated[float, fraction] = 0.5
    pruned_pieces: Annotated[float, fraction] = 0.5
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            prompts=trial.suggest_categorical("prompts", [5, 10, 20, 50]),
            rows=trial.suggest_categorical("rows", [1, 5, 10, 50]),
            pruned=trial.suggest_categorical("pruned", [0.1, 0.5, 0.9]),
            pruned_pieces=trial.suggest_categorical("pruned_pieces", [0.1, 0.5, 0.9]),
        )


class Masks(nn.Module):
    """What is left of the P prompts and of their S pieces, in all blocks alike: ones, and zeros where it is pruned."""

    tokens: Tensor
    pieces: Tensor

    def __init__(self, prompts: int, pieces: int) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.ones(prompts))
        self.register_buffer("pieces", torch.ones(prompts, pieces))


class MaskedPrompts(Prompts):
    """Prompts whose pruned parts are zero. They keep their places in the sequence, as in the authors' code."""

    def __init__(self, masks: Masks, dim: int, count: int, **given: Any) -> None:
        super().__init__(dim, count, **given)
        self._masks = (masks,)  # a tuple, so that every block's prompts share the module and none owns it

    def forward(self, x: Tensor) -> Tensor:
        (masks,) = self._masks
        whole = super().forward(x)
        count, dim = self.prompts.shape
        piece = torch.arange(dim, device=x.device) * masks.pieces.shape[1] // dim  # of every feature
        mask = (masks.tokens[:, None] * masks.pieces)[:, piece]
        return torch.cat([whole[:, :-count], whole[:, -count:] * mask.to(whole.dtype)], dim=1)


class Rows(nn.Module):
    """K learned keys and values for the attention of one block: 2 K D weights, or K D if they are shared.

    Attention gets K more tokens, whose keys and values are replaced by these rows; what it makes of them is dropped.
    Rows start uniform within +-sqrt(6 / (values of a patch + 16)), as in the authors' code.
    """

    def __init__(self, dim: int, config: E2VPTConfig, patch_values: int) -> None:
        super().__init__()
        bound, self.count, self.dropout = (6 / (patch_values + 16)) ** 0.5, config.rows, config.dropout
        self.keys = nn.Parameter(torch.empty(config.rows, dim).uniform_(-bound, bound))
        self.values = None if config.shared else nn.Parameter(torch.empty(config.rows, dim).uniform_(-bound, bound))

    def extend(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N + K, D)."""
        return F.pad(x, (0, 0, 0, self.count))

    def replace(self, parts: str, y: Tensor) -> Tensor:
        """The last K rows of (B, N + K, D) of each of the ``parts`` of q, k and v in y become the learned ones."""
        keys, values = self.keys, self.keys if self.values is None else self.values
        rows = torch.cat([{"q": torch.zeros_like(keys), "k": keys, "v": values}[part] for part in parts], dim=1)
        own = F.dropout(rows.expand(y.shape[0], -1, -1), self.dropout, self.training)
        return torch.cat([y[:, : -self.count], own.to(y.dtype)], dim=1)


class E2VPT(Selecting):
    """VPT-deep with P prompts per block, and K keys and values per block that no token computes; half is pruned.

    After a first training the sums of |gradients| of the masks decide what is pruned; then everything trains again from
    its first weights. L P D + 2 L K D parameters before pruning: 184,320 on ViT-B/16. Pieces are runs of D / S
    features, as in the paper; the authors' code (ChengHan111/E2VPT at 0a0bf8a) takes every S-th feature.
    """

    Config = E2VPTConfig
    needs_attention = True
    modalities = frozenset({"image"})  # its keys and values do not fit the causal attention of PointGPT
    identity_at_start = False  # attention sees the prompts from the first step on
    stochastic_backbone = False  # as in the authors' code: only prompts and head are in training mode

    def __init__(self, backbone: Backbone, config: E2VPTConfig) -> None:
        super().__init__(backbone, config)
        self.masks, self._prunes = Masks(config.prompts, config.pieces), bool(config.pruned or config.pruned_pieces)
        self.prompts, self.rows = nn.ModuleList(), nn.ModuleList()
        for block in backbone.blocks:
            self._wire_rows(block, config, backbone.patch_values)
            fits = config.pieces <= block.width
            check(fits, f"e2vpt: pieces={config.pieces} must be at most the token width {block.width}")
        self.admit_prompts(backbone, "e2vpt")  # after the rows, which count as prompts for attention
        for stage in backbone.stages:
            for block in stage:
                replaced = 0 if block is stage[0] else config.prompts
                given = {"patch_numbers": backbone.patch_values, "replaced": replaced, "dropout": config.dropout}
                prompts = MaskedPrompts(self.masks, block.width, config.prompts, **given)
                self.prompts.append(prompts)
                self.before(block.module, prompts, tokens=True)
            self.after(stage[-1].module, partial(drop_last, config.prompts))

    def _wire_rows(self, block: Block, config: E2VPTConfig, patch_values: int) -> None:
        attention = block.attention("e2vpt").inner
        rows = Rows(block.width, config, patch_values)
        self.rows.append(rows)
        self.before(attention, rows.extend)
        for target, parts in {"qkv": "qkv", "k": "k", "v": "v"}.items():
            if target in block.targets:
                self.after(block.targets[target], partial(rows.replace, parts), tokens=True)
        self.after(attention, partial(drop_last, config.rows))

    def fit(self, trainer: Trainer) -> None:
        """Train, prune, and train again; without pruning, train once."""
        if self._prunes:
            super().fit(trainer)
        else:
            Method.fit(self, trainer)

    def epochs(self, epochs: int) -> float:
        """Those of both trainings, and one for the gradients."""
        return 2 * epochs + 1 if self._prunes else epochs

    def look(self, trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The prompts, and of each prompt the pieces, whose masks have the largest sums of |gradients|."""
        config: Any = self.config
        cost = trainer.stage("prompts", epochs=trainer.recipe.epochs, lr=config.lr, split="train")
        masks: list[Any] = [self.masks.tokens, self.masks.pieces]
        totals = [torch.zeros_like(mask) for mask in masks]
        for gradients in trainer.gradients(masks):
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient.abs()
        shares = (config.pruned, config.pruned_pieces)
        tokens, pieces = (_largest(total, share).cpu() for total, share in zip(totals, shares, strict=True))
        return {"tokens": tokens, "pieces": pieces}, {"steps": cost["steps"], "prompts": int(tokens.sum())}

    def choose(self, chosen: dict[str, Tensor]) -> None:
        """Set everything else to zero."""
        self.masks.tokens.copy_(chosen["tokens"])
        self.masks.pieces.copy_(chosen["pieces"])


def _largest(scores: Tensor, pruned: float) -> Tensor:
    """Ones (..., n) at the largest scores of the last dimension, and zeros at a share of ``pruned``; one stays."""
    kept = max(1, scores.shape[-1] - round(scores.shape[-1] * pruned))
    return torch.zeros_like(scores).scatter(-1, scores.topk(kept, dim=-1).indices, 1.0)
