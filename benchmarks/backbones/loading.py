"""Fills a model with the tensors of a file. What does not fit is listed, and so is what is no number."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from methods.errors import check


def fill(model: nn.Module, state: Mapping[str, Tensor], may_lack: frozenset[str] = frozenset()) -> frozenset[str]:
    """Load tensors into the model. Returns the names that they lack: none, or all of ``may_lack``.

    Raises:
        UserError: other names are missing, names are left over, or shapes or types differ; the message lists them.
    """
    own = model.state_dict()
    missing, both = own.keys() - state.keys(), sorted(own.keys() & state.keys())
    faults = {
        "missing": sorted(missing - may_lack if missing >= may_lack else missing),
        "left over": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
            for name in both
            if state[name].shape != own[name].shape
        ],
        "of another type": [
            f"{name} {state[name].dtype} for {own[name].dtype}"
            for name in both
            if state[name].is_floating_point() != own[name].is_floating_point()
        ],
    }
    check(not any(faults.values()), "; ".join(f"{what}: {listed(names)}" for what, names in faults.items() if names))
    model.load_state_dict(dict(state), strict=False)
    return may_lack & missing


def check_finite(model: nn.Module) -> None:
    """Refuse weights that training cannot mend.

    Raises:
        UserError: a weight is NaN or infinite; the message names the tensors.
    """
    spoiled = [name for name, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    check(not spoiled, f"values that are NaN or infinite in {listed(spoiled)}; use an undamaged file")


def listed(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
