"""Multiplicative noise on what a wired method adds to features, as PACE needs it (Ni et al. 2024, arXiv:2409.17137).

Shapes: B samples, N tokens, D features.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from methods import hooks
from methods.backbone import Backbone
from methods.base import Method
from methods.hooks import TokenMap

ADDING = (hooks.add_beside, hooks.add_beside_linear, hooks.add_beside_rows, hooks.add_tapped, hooks.add_tapped_before)
CHANGING = (hooks.change_input, hooks.change_output)


class Noise:
    """f, whose addition is multiplied by 1 + sigma * N(0, 1) while ``on`` is set: one draw per sample and feature.

    ``changes`` says that f returns its input with the addition in it. An f that changes the number of tokens adds
    nothing to features. ``acted`` is set by the first addition.
    """

    def __init__(self, f: TokenMap, changes: bool, channels_first: bool) -> None:
        self.f, self.changes, self.channels_first = f, changes, channels_first
        self.sigma, self.generator = 0.0, cast(torch.Generator | None, None)
        self.on = self.acted = False

    def __call__(self, x: Tensor) -> Tensor:
        y = self.f(x)
        if not self.on or (self.changes and y.shape != x.shape):
            return y
        return x + self.factor(y) * (y - x) if self.changes else y * self.factor(y)

    def factor(self, y: Tensor) -> Tensor:
        """1 + sigma * N(0, 1), of the shape (B, 1, D), or (B, D, 1, 1) where channels come first."""
        self.acted = True
        features = 1 if self.channels_first else y.ndim - 1
        shape = [size if dim in (0, features) else 1 for dim, size in enumerate(y.shape)]
        return 1 + self.sigma * torch.randn(shape, generator=self.generator, device=y.device, dtype=y.dtype)


def _replaced(noise: Noise, module: nn.Module, args: hooks.Arguments, output: Tensor) -> Tensor:
    """A replaced output, whose difference from the module's own is the addition."""
    y = noise.f(args[0])
    return output + noise.factor(y) * (y - output) if noise.on else y


def _added(noise: Noise, module: nn.Module, args: hooks.Arguments, output: Tensor) -> Tensor:
    """What an f adds by itself is had by letting it add to zeros."""
    f: Any = noise.f
    if not noise.on:
        return hooks.add_by_itself(f, module, args, output)
    addition: Tensor = f.add_to(torch.zeros_like(output), args[0])
    return output + addition * noise.factor(addition)


def _noisy(hook: Any, channels_first: bool) -> tuple[Noise, Any] | None:
    """The noise of a hook and the hook with it; None for a hook that adds nothing."""
    kind = getattr(hook, "func", None)
    if kind not in (*ADDING, *CHANGING, hooks.add_by_itself, hooks.replace_output):
        return None
    f, *rest = hook.args
    noise = Noise(f, kind in CHANGING, channels_first)
    own = {hooks.add_by_itself: _added, hooks.replace_output: _replaced}
    return noise, partial(own.get(kind, kind), noise, *rest)


@contextmanager
def perturbed(backbone: Backbone, sigma: float, generator: torch.Generator | None = None) -> Iterator[list[Noise]]:
    """Put noise, which is off, on what the wired method adds. The hooks are as before when the block ends.

    Sigma falls linearly with depth: block l of L, counted from 0, has sigma * (1 - l / L). What comes before the blocks
    has that of the first block, and what comes after has that of the last.
    """
    order = {block.name: number for number, block in enumerate(backbone.blocks)}
    found: list[Noise] = []
    replaced: list[tuple[dict[int, Any], int, Any]] = []
    number = 0
    for name, module in backbone.module.named_modules():
        number = order.get(name, number)
        for registry in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in registry.items():
                noisy = _noisy(hook, module in backbone.channels_first)
                if noisy is not None:
                    found.append(noisy[0])
                    noisy[0].sigma, noisy[0].generator = sigma * (1 - number / len(order)), generator
                    replaced.append((registry, key, hook))
                    registry[key] = noisy[1]  # under its key, so that the method's handle still removes it
    try:
        yield found
    finally:
        for registry, key, hook in replaced:
            registry[key] = hook


@torch.no_grad()
def adds(backbone: Backbone, method: Method) -> bool:
    """Whether the method on a backbone adds anything to features. Prompts, for example, are tokens of their own."""
    with perturbed(backbone, 1.0) as found:
        for noise in found:
            noise.on = True
        method.features(backbone.module(backbone.sample()))  # features empties the method's taps
    return any(noise.acted for noise in found)
