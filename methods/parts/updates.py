"""What methods share that add an update dW x of their own to the weight matrices W of a frozen backbone."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from methods.backbone import Backbone
from methods.base import AnyConfig, Method
from methods.errors import check

Target: TypeAlias = Literal["q", "k", "v", "proj", "fc1", "fc1_g", "fc1_x", "fc2"]


def check_targets(targets: tuple[str, ...]) -> None:
    """Raises UserError: there is no target, or one is named twice."""
    check(len(set(targets)) == len(targets) > 0, f"targets={targets} must be different and not empty")


class Updates(Method):
    """W x + dW x. An update is a module that maps x (..., in) to dW x (..., out) and has ``delta()``, which is dW."""

    merges = "yes"

    def __init__(self, backbone: Backbone, config: AnyConfig) -> None:
        super().__init__(backbone, config)
        self.updates = nn.ModuleList()
        self._wired: list[tuple[nn.Linear, slice, Any]] = []

    def update(self, matrix: tuple[nn.Linear, slice], update: nn.Module) -> None:
        """Add an update to a matrix: a linear and the rows of its weight that belong to the matrix."""
        linear, rows = matrix
        self.updates.append(update)
        self._wired.append((linear, rows, update))
        self.beside_rows(linear, rows, update)

    @torch.no_grad()
    def merge(self) -> None:
        """Add every update to its matrix for good, and drop the hooks."""
        for linear, rows, update in self._wired:
            linear.weight[rows] += update.delta()
        self._wired.clear()
        self.remove_hooks()
