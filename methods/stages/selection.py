"""The stage of methods that look at the training samples before they decide what trains."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

from torch import Tensor

from methods.backbone import Backbone
from methods.base import Config, Method
from methods.protocols import Trainer


class Selecting(Method):
    """A method with a stage before training, which chooses what trains from gradients on the training samples.

    Before ``fit`` the method is wired without data, by a rule that its class states. ``look`` chooses, ``choose`` wires
    the choice. The choice is kept, so that an interrupted run does not look again, and training starts from the first
    weights and random numbers. The record has the cost of the stage.
    """

    def __init__(self, backbone: Backbone, config: Config) -> None:
        super().__init__(backbone, config)
        self._story = dict[str, Any]()

    @abstractmethod
    def look(self, trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The choice as tensors, and what the record says about it."""

    @abstractmethod
    def choose(self, chosen: dict[str, Tensor]) -> None:
        """Train what ``look`` chose and nothing else."""

    def fit(self, trainer: Trainer) -> None:
        """Choose what trains, unless an earlier execution of this run has chosen, and train it."""
        kept = trainer.kept("selection")
        if kept is None:
            start = time.perf_counter()
            chosen, values = self.look(trainer)
            kept = chosen, {"selection": values | {"seconds": time.perf_counter() - start}}
            trainer.keep("selection", *kept)
        self._story |= kept[1]
        trainer.restart()
        self.choose(kept[0])
        super().fit(trainer)

    def epochs(self, epochs: int) -> float:
        """Those of training, and at most one for the gradients."""
        return epochs + 1

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """What was chosen, and what the choice cost."""
        return super().report(trainer) | self._story
