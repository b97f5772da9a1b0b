"""What a stage may choose: entries of a weight, which get new weights, and modules, which can be removed.

Shapes: B samples, N tokens, K trained entries of a tensor.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.layers import drop_samples


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


class Removable(nn.Module):
    """(B, ..., in) -> (B, ..., out): drop_path(inner(dropout(x))); zero once it is emptied.

    ``inner`` has linears ``down`` and ``up``.
    """

    def __init__(self, inner: nn.Module, *, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.inner, self.dropout, self.drop_path = inner, nn.Dropout(dropout), drop_path
        self.size = sum(parameter.numel() for parameter in inner.parameters())

    def forward(self, x: Tensor) -> Tensor:
        if not self.size:
            return x.new_zeros(1)
        return drop_samples(self.inner(self.dropout(x)), self.drop_path, training=self.training)

    def empty(self) -> None:
        """Drop every weight."""
        self.size = 0
        for part in self.inner.children():
            for name, parameter in list(part.named_parameters()):
                setattr(part, name, nn.Parameter(parameter.detach().new_zeros([0] * parameter.ndim)))

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}inner.down.weight")
        if saved is not None and not saved.numel():  # a task file holds only the modules that were chosen
            self.empty()
        super()._load_from_state_dict(state_dict, prefix, *args)


def beside_linear(weight: Entries, bias: Entries | None, x: Tensor) -> Tensor:
    """What the trained entries add to a linear: dW x + db."""
    shift = bias.delta() if bias is not None and len(bias.values) else None
    if len(weight.values):
        return F.linear(x, weight.delta(), shift)
    return x.new_zeros(1) if shift is None else shift.expand(*x.shape[:-1], -1)


def beside_norm(norm: nn.LayerNorm, weight: Entries, bias: Entries | None, x: Tensor) -> Tensor:
    """What the trained entries add to a LayerNorm: normalised x * dweight + dbias."""
    if not len(weight.values) and (bias is None or not len(bias.values)):
        return x.new_zeros(1)
    return F.layer_norm(x, norm.normalized_shape, weight.delta(), None if bias is None else bias.delta(), norm.eps)


def in_turn(module: Removable, rows: slice, y: Tensor) -> Tensor:
    """y with an adapter of the features in ``rows`` added to these features."""
    part = y[..., rows]
    return torch.cat([y[..., : rows.start], part + module(part), y[..., rows.stop :]], dim=-1)
