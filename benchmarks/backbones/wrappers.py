"""What training scripts put around the weights of a model: dictionaries around all, and prefixes before every name."""

import re
from collections.abc import Collection
from typing import TypeVar

T = TypeVar("T")

CONTAINERS = ("base_model", "model", "state_dict", "model_state_dict", "module", "teacher", "student")
PREFIXES = (  # the first one that is there is taken, so DINO's teacher goes before its student
    *("_orig_mod.", "module.", "model."),  # torch.compile, DDP, Lightning
    *("teacher.", "student.", "base_encoder.", "momentum_encoder."),  # DINO, MoCo v3
    *("backbone.", "encoder."),  # DINO, Lightning
)
OUTER = re.compile(r"^(?:(?:_orig_mod|module|model)\.)+")


def inside(content: dict[str, object]) -> dict[str, object]:
    """The weights within all containers. An empty container counts as none."""
    while inner := next((content[c] for c in CONTAINERS if isinstance(content.get(c), dict) and content[c]), None):
        content = inner  # type: ignore[assignment]
    return content


def stripped(state: dict[str, T], own: Collection[str]) -> dict[str, T]:
    """The weights without the prefixes that hide the model's ``own`` names.

    What has not the prefix is left out: it belongs to another part, such as a projection head or the student.
    """
    while not any(name in own for name in state):
        prefix = next((p for p in PREFIXES if any(name.startswith(p) for name in state)), None)
        if prefix is None:
            return state
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return state
