"""Methods that look at the training samples before they decide what trains: the stage, and entries of a weight.

Shapes: K trained entries of a weight.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from methods.backbone import Backbone
from methods.base import Config, Method
from methods.protocols import Trainer


class Entries(nn.Module):
    """K entries of a tensor train: its update is ``values`` (K,) at the places ``index`` (K,), and zero elsewhere.

    ``index`` counts through the flattened tensor. The values start at zero. As a vector they get no weight decay.
    """

    index: Tensor

    def __init__(self, shape: torch.Size, index: Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.choose(index)

    def choose(self, index: Tensor) -> None:
        """Train these entries, from zero on, and no others."""
        self.values = nn.Parameter(torch.zeros(len(index), device=index.device))
        self.register_buffer("index", index.to(torch.int32))  # the task file holds it; half as long as int64

    def delta(self) -> Tensor:
        """The update of the whole tensor."""
        flat = self.values.new_zeros(self.shape.numel())
        return flat.scatter(0, self.index.long(), self.values).view(self.shape)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        # a task file may hold another number of entries than the untrained method has
        saved = state_dict.get(prefix + "index")
        if saved is not None and len(saved) != len(self.index):
            self.choose(saved.to(self.index.device))
        super()._load_from_state_dict(state_dict, prefix, *args)


def evenly(count: int, total: int) -> Tensor:
    """``count`` of the numbers from 0 to total - 1, evenly spread."""
    return torch.arange(count) * total // max(count, 1)


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
