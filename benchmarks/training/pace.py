"""PACE: a consistency regulariser for any method with adapters of its own (Ni et al. 2024, arXiv:2409.17137).

What the method adds to features is multiplied by 1 + sigma * N(0, 1), one draw per sample and channel. The loss is

    loss(z) + lambda * mean over samples of |z - z'|^2,    z, z' logits (B, classes)

where z' comes from a second pass with other noise, or, with "fast", from the same sample in the epoch before. Drop-path
and dropout are the same in both passes, as the authors have it for drop-path. Their code also puts noise on the head's
output and none on the first block of ViT-B/16, and starts "fast" from logits of zero. Here the first epoch of "fast"
has no second term.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from benchmarks import backbones
from benchmarks.records.spec import Recipe
from benchmarks.training.model import Classifier
from methods.parts.noise import Noise, perturbed

Forward = Callable[
    [Tensor], Tensor
]  # a batch to logits (B, classes), or (B, parts, N) of a task with a label per point


class Pace:
    """The regulariser of one training. ``samples`` is the number of training samples."""

    def __init__(self, recipe: Recipe, samples: int, seed: int, device: torch.device) -> None:
        self.weight, self.sigma, self.fast = recipe.pace_lambda, recipe.pace_sigma, recipe.pace == "fast"
        self.samples, self.generator = samples, torch.Generator(device).manual_seed(seed)
        self._noises: list[Noise] = []
        self._epoch_before: Tensor | None = None  # the logits of all samples; NaN for those not seen yet

    @contextmanager
    def acting_on(self, model: Classifier) -> Iterator[None]:
        """Let the losses in this block put noise on what the method adds. Validation sees the model without noise."""
        with perturbed(backbones.describe(model.backbone), self.sigma, self.generator) as self._noises:
            yield

    def loss(self, plain: Callable[[Forward], Tensor], forward: Forward, x: Tensor, index: Tensor) -> Tensor:
        """The loss of samples (B, ...) with these numbers (B,). ``plain`` is the method's loss by a forward pass."""
        seen: list[Tensor] = []

        def watched(x: Tensor) -> Tensor:
            seen.append(forward(x))
            return seen[-1]

        with self._noise():
            # a second pass draws the same masks as the first; without one, the next step draws new ones
            with nullcontext() if self.fast else torch.random.fork_rng([x.device] if x.is_cuda else []):
                value = plain(watched)
            other = self._logits_before(seen[-1], index) if self.fast else forward(x)
        return value + self.weight * (seen[-1] - other).square().sum(1).mean()

    @contextmanager
    def _noise(self) -> Iterator[None]:
        for noise in self._noises:
            noise.on = True
        yield
        for noise in self._noises:
            noise.on = False

    def _logits_before(self, logits: Tensor, index: Tensor) -> Tensor:
        """The logits of the same samples in the epoch before; those of now for a sample that had none."""
        now = logits.detach()
        if self._epoch_before is None:
            self._epoch_before = now.new_full((self.samples, *now.shape[1:]), torch.nan)
        before = self._epoch_before[index]
        self._epoch_before[index] = now
        return torch.where(before.isnan(), now, before)
