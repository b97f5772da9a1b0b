"""Reads files of weights, .safetensors and .pth. No pickle is executed."""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from benchmarks.files import pickles
from methods.errors import UserError, check

CONTAINERS = ("base_model", "model", "state_dict")  # the names under which training scripts save the weights
UNREADABLE = (OSError, SafetensorError, RuntimeError, pickle.UnpicklingError, *pickles.BROKEN)


def read(path: Path) -> dict[str, Any]:
    """The weights of a file by name, whatever container they are in. Entries that are not tensors are returned too.

    Raises:
        UserError: the file is damaged, asks to run code, or does not hold names and values.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except UNREADABLE as error:
        raise UserError(f"refused {path}: it is not a whole file of tensors: {reason(error)}") from None
    check(isinstance(content, dict), f"refused {path}: it holds a {type(content).__name__}, not tensors by name")
    for container in CONTAINERS:
        if isinstance(content.get(container), dict):
            content = content[container]
    return {str(name): value for name, value in content.items()}


def reason(error: Exception) -> str:
    """The message of a library's error on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _unpickled(path: Path) -> Any:
    # some published files hold scores as numpy numbers beside the weights; these classes stand in for numpy's
    allowed = [(stand_in, name) for name, stand_in in pickles.STAND_INS.items()]
    with torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
        return torch.load(path, weights_only=True, map_location="cpu")
