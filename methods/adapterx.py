"""Adapter-X: a sharing mixture of adapters with block-specific norms and prompts (Li et al. 2024, arXiv:2406.03051).

Shapes: B samples, N tokens, D token width, L blocks, E experts. In block l, h enters norm2 and u leaves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method, Published
from methods.errors import check
from methods.hooks import Tap
from methods.options import at_least
from methods.parts.layers import PromptGenerator, append, between, drop_last, mean_over_samples, set_aside
from methods.parts.smoa import SMoA
from methods.protocols import Criterion, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna


@dataclass(frozen=True, kw_only=True)
class AdapterXConfig(base.Config):
    """The defaults are the paper's method. Each switch takes one of its ideas away.

    ``variant``: ``parallel`` is AdaptFormer-X, whose mixture reads u. ``sequential`` reads the FFN's output instead.
    ``dynamic`` (DAPT-X) is parallel, scales the update of each token, and lets drop-path drop it together with the FFN.
    ``hidden``: the width of an expert; by default 64 on images and 28 on points, which meet the published budgets.
    ``shared``: one mixture for all blocks.
    """

    lr: float = 1e-2
    variant: Literal["parallel", "sequential", "dynamic"] = "parallel"
    experts: Annotated[int, at_least(1)] = 4
    heads: Annotated[int, at_least(1)] = 3
    hidden: Annotated[int | None, at_least(1)] = None
    routing_dim: Annotated[int, at_least(1)] = 16
    routing: Literal["top1", "dense"] = "top1"
    balance: float = 0.01
    shared: bool = True
    prompts: bool = True
    norm2: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self.experts <= self.routing_dim, f"experts={self.experts} must be at most routing_dim={self.routing_dim}"
        )

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            experts=trial.suggest_categorical("experts", [2, 4, 8]),
            hidden=trial.suggest_categorical("hidden", [16, 28, 64]),
            balance=trial.suggest_float("balance", 1e-3, 1e-1, log=True),
        )


class TokenScale(nn.Module):
    """DAPT's dynamic scale: (B, N, D) -> (B, N, 1), relu(w . u + b) of each token; one at the start (chosen here)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.ones_(self.linear.bias)

    def forward(self, u: Tensor) -> Tensor:
        return F.relu(self.linear(u))


class AdapterX(Method):
    """In block l: u = norm2_l(h), a = SMoA(u), x' = h + FFN(u) + a, and one prompt made from a joins the sequence.

    All blocks share one SMoA. Its experts and its router train, and so do norm2 and a prompt generator per block, and
    the class token: 132,352 + 4,160 + 18,432 + 18,432 + 768 = 174,144 parameters on ViT-B/16. On points the position of
    the class token trains too, and the head also sees the mean prompt.
    """

    Config = AdapterXConfig
    published = Published(image="0.20 %", points="1.88 %")
    identity_at_start = False  # the prompts' betas are not zero

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        norms = (p for block in backbone.blocks for p in block.ffn.norm.parameters())
        return backbone.class_token | backbone.names(norms)

    def __init__(self, backbone: Backbone, config: AdapterXConfig) -> None:
        super().__init__(backbone, config)
        on_points = backbone.modality == "points"
        self.smoas, self.scales, self.generators = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.balance = config.balance if config.routing == "top1" else 0.0  # dense routing needs no balance
        self.extra_features = backbone.widths[0] if on_points and config.prompts else 0
        self._uses, self._prompts = [Tap() for _ in backbone.blocks], Tap()
        self.unfreeze(backbone.parameters(backbone.class_token))
        if config.prompts:
            check(not backbone.no_prompts, f"adapterx: {backbone.no_prompts}; set prompts=false")
            self.admit_prompts(backbone, "adapterx")
        uses = iter(self._uses)
        for stage in backbone.stages:
            check(
                stage[0].width % config.heads == 0,
                f"adapterx: heads={config.heads} must divide the token width {stage[0].width}",
            )
            smoas = [_smoa(stage[0].width, config, on_points) for _ in (stage[:1] if config.shared else stage)]
            self.smoas.extend(smoas)
            for layer, block in enumerate(stage):
                self._wire(block, smoas[layer % len(smoas)], next(uses), config)
            if config.prompts and on_points:
                self.after(backbone.norm, partial(set_aside, len(stage), self._prompts))
            elif config.prompts:
                self.after(stage[-1].module, partial(drop_last, len(stage)))
                last = f"generators.{len(self.generators) - 1}"  # nothing attends to its prompt
                self.silent |= {f"{last}.{name}" for name, _ in self.get_submodule(last).named_parameters()}

    def _wire(self, block: Block, smoa: SMoA, use: Tap, config: AdapterXConfig) -> None:
        """Train norm2 of a block, add the update a to its residual stream, and put the prompt at the end."""
        scale = TokenScale(block.width) if config.variant == "dynamic" else None
        generator, prompt = PromptGenerator(block.width) if config.prompts else None, Tap()
        self.scales.extend([scale] if scale is not None else [])
        self.generators.extend([generator] if generator is not None else [])
        adapt = partial(_adapt, smoa, scale, generator, prompt, use)
        if config.norm2:
            self.unfreeze(block.ffn.norm.parameters())
        # the FFN reads u; a joins the residual stream after LayerScale, and as in DAPT "dynamic" before drop-path
        if config.variant == "dynamic":
            self.add_before(block.ffn.out, adapt, source=block.ffn.inner)
        else:
            self.beside(block.ffn.out, adapt, source=None if config.variant == "sequential" else block.ffn.inner)
        if config.prompts:
            self.after(block.module, partial(append, prompt))

    def features(self, pooled: Tensor) -> Tensor:
        """Pooled features (B, F) as they are; on points [class; mean of prompts; max of patches] (B, F + D)."""
        return between(pooled, self._prompts.take().mean(dim=1)) if self.extra_features else pooled

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross-entropy plus ``balance`` times the balance loss of Switch and X-MoE, averaged over the blocks."""
        for smoa in self.smoas:
            smoa.router.rescale()  # type: ignore[union-attr, operator]
        loss = criterion(model(x), y)
        return loss + self.balance * _imbalance(self.routing())

    def routing(self) -> Tensor:
        """How the last forward pass used each expert of each block: (L, 2, E).

        The axis of 2 has the fraction of sub-tokens, then the mean probability.
        """
        return torch.stack([tap.take() for tap in self._uses])

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The fraction of sub-tokens and the mean probability of each expert, by block, over all training samples."""
        allocation, score = mean_over_samples(trainer, self.routing).unbind(1)
        return {"routing": {"allocation": allocation.tolist(), "score": score.tolist()}}


def _smoa(dim: int, config: AdapterXConfig, on_points: bool) -> SMoA:
    return SMoA(
        dim,
        heads=config.heads,
        experts=config.experts,
        hidden=config.hidden or (28 if on_points else 64),
        routing_dim=config.routing_dim,
        top1=config.routing == "top1",
    )


def _imbalance(uses: Tensor) -> Tensor:
    """The balance loss of uses (L, 2, E): E * sum over experts of fraction * probability, averaged over blocks.

    It is 1 if all experts get equal fractions and probabilities.
    """
    fraction, probability = uses.unbind(1)
    return uses.shape[-1] * (fraction * probability).sum(-1).mean()


def _adapt(
    smoa: SMoA, scale: TokenScale | None, generator: PromptGenerator | None, prompt: Tap, use: Tap, u: Tensor
) -> Tensor:
    """u (B, N, D) to the update a (B, N, D); the prompt made from a and the use of the experts go into their taps."""
    a: Tensor
    a, use.value = smoa(u)
    if scale is not None:
        a = a * scale(u)
    if generator is not None:
        prompt.value = generator(a)
    return a
