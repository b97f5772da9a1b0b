"""Linear probing: the head alone trains, on features that are computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from methods import base
from methods.base import Method, Published

if TYPE_CHECKING:
    from benchmarks.train import Trainer


@dataclass(frozen=True, kw_only=True)
class LinearConfig(base.Config):
    lr: float = 1e-2


class Linear(Method):
    """Only the head trains; the backbone stays in eval mode."""

    Config = LinearConfig
    published = Published(image="0")
    stochastic_backbone = False

    def epochs(self, epochs: int) -> float:
        """One: every sample passes the backbone once."""
        return 1

    def fit(self, trainer: Trainer) -> None:
        trainer.cache_features()
        trainer.train()
