"""DyT: an adapter on every token, and tokens that skip the FFN (Zhao et al. 2024, arXiv:2403.11808).

Shapes: B samples, N tokens, D token width, K tokens of all samples that pass an FFN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method, Published
from methods.hooks import Tap
from methods.options import at_least, fraction, positive
from methods.parts.layers import Bottleneck, mean_over_samples
from methods.protocols import Criterion, Trainer

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class DyTConfig(base.Config):
    """``rate``: the share of tokens that shall pass an FFN, on average over blocks; ``rate_weight`` enforces it.

    ``tau``: the temperature of the gates in training. ``hidden``: 8 gives the paper's count; the authors' script for
    VTAB-1K has 16. ``scale`` is that of the adapter.
    """

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 8
    rate: Annotated[float, fraction] = 0.5
    rate_weight: float = 2.0
    tau: Annotated[float, positive] = 5.0
    dropout: Annotated[float, fraction] = 0.1
    scale: float = 1.0

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [4, 8, 16, 32]),
            scale=trial.suggest_float("scale", 0.1, 10.0, log=True),
        )


class Dispatcher(nn.Module):
    """Tokens (B, N, D) to gates (B, N, 1): 1 for a token that passes the FFN, 0 for one that skips it; D + 1 weights.

    The gradient is that of sigmoid(w . h + b). In training the logit gets the difference of two Gumbel variables, and
    is divided by tau. Prefix tokens, such as the class token, always pass.
    """

    def __init__(self, dim: int, prefix: int, tau: float) -> None:
        super().__init__()
        self.logit, self.prefix, self.tau = nn.Linear(dim, 1), prefix, tau
        nn.init.trunc_normal_(self.logit.weight, std=0.02)
        nn.init.zeros_(self.logit.bias)

    def forward(self, h: Tensor) -> Tensor:
        logits = self.logit(h[:, self.prefix :])
        if self.training:
            first, second = (torch.empty_like(logits).exponential_().log() for _ in range(2))
            logits = (logits + second - first) / self.tau
        soft = logits.sigmoid()
        gates = (soft > 0.5).to(soft.dtype) - soft.detach() + soft  # straight through
        return F.pad(gates, (0, 0, self.prefix, 0), value=1.0)


class Dispatched(nn.Module):
    """The FFN branch of one block with an adapter for all tokens and a dispatcher: gate * FFN(norm(h)) + adapter(h).

    Where gradients are computed, and in a compiled model, the FFN computes all tokens, so that shapes are static. In
    inference it computes the K tokens that pass, and no other.
    """

    def __init__(self, block: Block, config: DyTConfig) -> None:
        super().__init__()
        self.adapter = Bottleneck(block.width, config.hidden, act="relu", dropout=config.dropout, scale=config.scale)
        self.dispatcher = Dispatcher(block.width, block.prefix_tokens, config.tau)
        self.prefix = block.prefix_tokens
        self.passed = Tap()  # the share of the patches that passed in the last forward pass
        self._gates, self._update = Tap(), Tap()

    def enter(self, h: Tensor) -> Tensor:
        """What the norm of the FFN reads: h (B, N, D), or only the tokens (1, K, D) that pass."""
        self._update.put(self.adapter(h))
        gates = self.dispatcher(h)
        self.passed.put(gates[:, self.prefix :].mean())
        if not self._skips(h):
            self._gates.put(gates)
            return h
        index = (gates.flatten() > 0.5).nonzero()[:, 0]
        self._gates.put(index)
        return h.flatten(0, 1)[index][None]

    def leave(self, y: Tensor) -> Tensor:
        """What joins the residual stream (B, N, D), of what the FFN made of the tokens that it computed."""
        gates, update = self._gates.take(), self._update.take()
        if not self._skips(y):
            return y * gates + update
        joined: Tensor = update.to(y.dtype).flatten(0, 1).index_add(0, gates, y[0]).view_as(update)
        return joined

    def _skips(self, x: Tensor) -> bool:
        static = self.training or torch.is_grad_enabled() or torch.compiler.is_compiling()
        return not (static or x.is_meta)  # counting parameters needs no values, and then there are none to choose by


class DyT(Method):
    """h + gate * FFN(norm2(h)) + scale * up(relu(down(h))) in every block, with one gate of 0 or 1 per token.

    The loss is the criterion's plus rate_weight * (mean gate - rate)^2. 165,996 parameters at hidden 8 on ViT-B/16.
    This is the form of the paper in which tokens skip the FFN and not attention, and the losses are those of the
    authors' code (NUS-HPC-AI-Lab/Dynamic-Tuning at 1d26be5). A record's FLOPs of inference and its latency are those
    of the tokens that passed. The printed 0.16 M is the adapters' 156,768.
    """

    Config = DyTConfig
    published = Published(image="0.16 M")
    identity_at_start = False  # about half of the tokens skip
    cost_varies = True

    def __init__(self, backbone: Backbone, config: DyTConfig) -> None:
        super().__init__(backbone, config)
        self.rate, self.rate_weight = config.rate, config.rate_weight
        self.branches = nn.ModuleList()
        for block in backbone.blocks:
            branch = Dispatched(block, config)
            self.branches.append(branch)
            self.before(block.ffn.norm, branch.enter)
            self.after(block.ffn.out, branch.leave)

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """The criterion plus the distance of the mean gate to its target; every block counts alike."""
        loss = criterion(model(x), y)
        return loss + self.rate_weight * (self.passed().mean() - self.rate).square()

    def passed(self) -> Tensor:
        """The share of the patches that passed each FFN in the last forward pass: (L,)."""
        branches: Any = self.branches
        return torch.stack([branch.passed.take() for branch in branches])

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The share of the patches that pass each block's FFN in inference, over all training samples."""
        return {"passed": mean_over_samples(trainer, self.passed).tolist()}
