"""A case of the contract: a method on the small backbone of a family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

import methods
from benchmarks import backbones
from benchmarks.contract import tiny
from benchmarks.training.model import Classifier
from methods.base import Method


@dataclass(frozen=True)
class Case:
    """A method on the small backbone of a family. ``options`` are those without which it does not fit."""

    method: str
    family: str
    options: Mapping[str, object] = field(default_factory=dict, hash=False)

    @property
    def cls(self) -> type[Method]:
        """The class of the method."""
        return methods.get(self.method)

    @property
    def inputs(self) -> Tensor:
        """A batch for the backbone."""
        return tiny.inputs(self.family)

    def backbone(self) -> nn.Module:
        """The backbone alone."""
        return tiny.backbone(self.family)

    def wire(self, layers: int = tiny.DEPTH, **options: object) -> Classifier:
        """The untrained model."""
        return tiny.wire(self.method, tiny.backbone(self.family, layers), {**self.options, **options})

    def trained(self, layers: int = tiny.DEPTH, **options: object) -> Classifier:
        """The model after some training."""
        return tiny.move(self.wire(layers, **options))

    def unfrozen(self, body: nn.Module) -> set[str]:
        """The backbone's parameters that the class says it trains."""
        return self.cls.unfrozen(backbones.describe(body))
