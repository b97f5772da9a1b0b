"""What training scripts put around the weights of a model: dictionaries around all, and prefixes before every name."""

import re
from collections.abc import Collection
from typing import Any, TypeVar

T = TypeVar("T")

CONTAINERS = ("base_model", "model", "state_dict", "model_state_dict", "module", "teacher", "student")
PREFIXES = (  # the first one that is there is taken, so DINO's teacher goes before its student
    *("_orig_mod.", "module.", "model."),  # torch.compile, DDP, Lightning
    *("teacher.", "student.", "base_encoder.", "momentum_encoder."),  # DINO, MoCo v3
    *("backbone.", "encoder."),  # DINO, Lightning
)
OUTER = re.compile(r"^(?:(?:_orig_mod|module|model)\.)+")


def inside(content: dict[str, Any]) -> dict[str, Any]:
    """The weights within at most four containers, for a dictionary may hold itself. An empty one counts as none."""
    for _ in range(4):
        found = (content[name] for name in CONTAINERS if isinstance(content.get(name), dict) and content[name])
        content = next(found, content)
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
