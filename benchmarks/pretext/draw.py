"""Random numbers for one batch of drawn samples."""

import torch
from torch import Tensor

INVENTION = 20261129  # the seed of all that is invented once: symbols, textures, families of solids


class Random:
    """Draws from one generator on one device; ``count`` is the number of samples in the batch."""

    def __init__(self, count: int, generator: torch.Generator, device: torch.device) -> None:
        self.count, self.generator, self.device = count, generator, device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator, device=self.device)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def integer(self, high: int, *shape: int) -> Tensor:
        return torch.randint(high, shape, generator=self.generator, device=self.device)
