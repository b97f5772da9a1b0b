"""Linear probing: the head alone trains, on features that are computed once."""

from dataclasses import dataclass

from methods import base
from methods.base import Method, Published


@dataclass(frozen=True, kw_only=True)
class LinearConfig(base.Config):
    lr: float = 1e-2


class Linear(Method):
    """Only the head trains; the backbone stays in eval mode."""

    Config = LinearConfig
    published = Published(image="0")
    merges = "yes"  # there is nothing to merge
    trains_head_alone = True
    stochastic_backbone = False

    def epochs(self, epochs: int) -> float:
        """One epoch, because every sample passes the backbone once."""
        return 1

    def untouched(self, depth: int) -> int:
        """All blocks."""
        return depth
