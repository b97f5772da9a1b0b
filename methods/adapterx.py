"""Adapter-X: a sharing mixture of adapters with block-specific norms and prompts (Li et al. 2024, arXiv:2406.03051).

Shapes: B samples, N tokens, H sub-tokens a token, D token width, W = D / H sub-token width, E experts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.base import Backbone, Method, Tap
from methods.options import check

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from benchmarks.model import Tuned

EMBEDDING_GAIN, EMBEDDING_NORM = 0.32, 1.5  # of X-MoE (Chi et al. 2022, arXiv:2204.09179)


@dataclass(frozen=True, kw_only=True)
class AdapterXConfig(base.Config):
    """``hidden`` of an expert is 64 on images and 28 on points unless given: these meet the published budgets."""

    lr: float = 5e-3
    experts: int = 4
    heads: int = 3
    hidden: int | None = None
    routing_dim: int = 16
    balance: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("experts", "heads", "routing_dim"):
            check(getattr(self, name) >= 1, f"{name}={getattr(self, name)} must be at least 1")
        check(
            self.experts <= self.routing_dim, f"experts={self.experts} must be at most routing_dim={self.routing_dim}"
        )
        check(self.hidden is None or self.hidden >= 1, f"hidden={self.hidden} must be at least 1")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            experts=trial.suggest_categorical("experts", [2, 4, 8]),
            hidden=trial.suggest_categorical("hidden", [16, 28, 64]),
            balance=trial.suggest_float("balance", 1e-3, 1e-1, log=True),
        )


class Router(nn.Module):
    """Sub-tokens (..., W) to probabilities of the experts (..., E): softmax of R s . e_i / |e_i|."""

    def __init__(self, width: int, experts: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, dim, bias=False)
        self.embeddings = nn.Parameter(torch.empty(experts, dim))
        nn.init.orthogonal_(self.embeddings, gain=EMBEDDING_GAIN)

    def forward(self, s: Tensor) -> Tensor:
        z: Tensor = self.project(s)
        return (z @ F.normalize(self.embeddings, dim=-1).T).float().softmax(dim=-1)

    @torch.no_grad()
    def rescale(self) -> None:
        """Put the embeddings back to their norm: the scores do not see it, the size of their next step does."""
        self.embeddings.mul_(EMBEDDING_NORM / self.embeddings.norm(dim=-1, keepdim=True))


class Experts(nn.Module):
    """E bottlenecks W -> hidden -> W, zero at the start; every sub-token goes through the one that its gate names.

    Computed dense: all down-projections as one, hidden units of other experts times 0, all up-projections as one.
    """

    def __init__(self, width: int, experts: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.down = nn.Linear(width, experts * hidden)
        self.up = nn.Parameter(torch.zeros(experts * hidden, width))
        self.up_bias = nn.Parameter(torch.zeros(experts, width))
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.down.bias)

    def forward(self, s: Tensor, gate: Tensor) -> Tensor:
        """Sub-tokens (..., W) and gates (..., E), of which one is not 0, to (..., W)."""
        hidden = F.relu(self.down(s)).unflatten(-1, (-1, self.hidden)) * gate[..., None]
        out: Tensor = hidden.flatten(-2) @ self.up + gate @ self.up_bias
        return out


class SMoA(nn.Module):
    """Sharing mixture of adapters: tokens (B, N, D) to updates (B, N, D) and this block's balance term."""

    def __init__(self, dim: int, config: AdapterXConfig, hidden: int) -> None:
        super().__init__()
        self.heads = config.heads
        self.router = Router(dim // config.heads, config.experts, config.routing_dim)
        self.experts = Experts(dim // config.heads, config.experts, hidden)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        s = u.unflatten(-1, (self.heads, -1))  # (B, N, D) -> (B, N, H, W)
        probability = self.router(s)
        chosen = F.one_hot(probability.argmax(dim=-1), probability.shape[-1]).to(probability.dtype)
        a = self.experts(s, (chosen * probability).to(s.dtype)).flatten(-2)
        flat = (0, 1, 2)
        balance = probability.shape[-1] * (chosen.mean(flat) * probability.mean(flat)).sum()
        return a, balance


class PromptGenerator(nn.Module):
    """One prompt of a block from what SMoA did in it: gamma * mean over tokens of a + beta, (B, N, D) -> (B, 1, D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(dim) * 0.02 + 1)
        self.beta = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, a: Tensor) -> Tensor:
        return self.gamma * a.mean(dim=1, keepdim=True) + self.beta


class AdapterX(Method):
    """In block l: u = norm2_l(h), a = SMoA(u), x' = h + FFN(u) + a, and one prompt from a joins the sequence.

    SMoA is one for all blocks. Its experts and router, per block norm2 and prompt generator, and the class token train:
    132,352 + 4,160 + 18,432 + 18,432 + 768 = 174,144 on ViT-B/16. On points the head also sees the mean prompt.
    """

    Config = AdapterXConfig
    identity_at_start = False  # the prompts' betas are not zero

    def __init__(self, backbone: Backbone, config: AdapterXConfig) -> None:
        super().__init__(backbone, config)
        dim, on_points = backbone.num_features, hasattr(backbone, "cls_pos")
        check(dim % config.heads == 0, f"adapterx: heads={config.heads} must divide the token width {dim}")
        self.balance = config.balance
        self.smoa = SMoA(dim, config, config.hidden or (28 if on_points else 64))
        generators = [PromptGenerator(dim) for _ in backbone.blocks]
        self.generators = nn.ModuleList(generators)
        self.extra_features = dim if on_points else 0
        self._balances = [Tap() for _ in backbone.blocks]
        self._prompts = Tap()
        tokens = [getattr(backbone, name, None) for name in ("cls_token", "cls_pos")]  # a ViT may have neither
        self.unfreeze(token for token in tokens if token is not None)
        for block, generator, balance in zip(backbone.blocks, generators, self._balances, strict=True):
            self.unfreeze(block.norm2.parameters())
            prompt = Tap()
            self.beside(block.drop_path2, partial(_adapt, self.smoa, generator, prompt, balance), source=block.mlp)
            self.after(block, partial(_append, prompt))
        self.after(backbone.norm, partial(_set_aside, len(self.generators), self._prompts))

    def features(self, pooled: Tensor) -> Tensor:
        """(B, F) -> (B, F), on points [class; max of patches; mean of prompts] (B, F + D)."""
        prompts = self._prompts.take()
        return torch.cat([pooled, prompts.mean(dim=1)], dim=-1) if self.extra_features else pooled

    def loss(self, model: Tuned, x: Tensor, y: Tensor, criterion: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Cross-entropy plus the balance loss of Switch and X-MoE, averaged over the blocks."""
        self.smoa.router.rescale()
        loss = criterion(model(x), y)
        balance = torch.stack([tap.take() for tap in self._balances]).mean()
        return loss + balance * self.balance


def _adapt(smoa: SMoA, generator: PromptGenerator, prompt: Tap, balance: Tap, u: Tensor) -> Tensor:
    a: Tensor
    a, balance.value = smoa(u)
    prompt.value = generator(a)
    return a


def _append(prompt: Tap, x: Tensor) -> Tensor:
    # at the end, so the class token keeps index 0 and the patches theirs
    return torch.cat([x, prompt.take().to(x.dtype)], dim=1)


def _set_aside(count: int, prompts: Tap, x: Tensor) -> Tensor:
    """Take the prompts off the sequence, so that no pooling averages them in."""
    prompts.value = x[:, -count:]
    return x[:, :-count]
