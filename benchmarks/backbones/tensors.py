"""Reads files of weights, .safetensors and .pth. No pickle is executed."""

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from benchmarks.backbones.wrappers import inside
from benchmarks.files import pickles
from methods.errors import UserError, check

UNREADABLE = (OSError, SafetensorError, RuntimeError, pickle.UnpicklingError, *pickles.BROKEN)


def read(path: Path) -> dict[str, Any]:
    """The weights of a file by name, whatever container they are in. Entries that are not tensors are returned too.

    Raises:
        UserError: the file is damaged, asks to run code, or does not hold names and values.
    """
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except UNREADABLE as error:
        raise UserError(f"refused {path}: it is not a whole file of tensors: {reason(error)}") from None
    check(isinstance(content, dict), f"refused {path}: it holds a {type(content).__name__}, not tensors by name")
    found = {str(name): value for name, value in inside(content).items()}
    odd = sorted(name for name, value in found.items() if isinstance(value, torch.Tensor) and not _is_whole(value))
    check(not odd, f"refused {path}: no plain tensors of numbers: {', '.join(odd[:6])}")
    return found


def _is_whole(tensor: torch.Tensor) -> bool:
    """Whether every value is in the file. A few bytes can claim to be a tensor of any size."""
    dense = tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_complex() or tensor.is_meta)
    return dense and tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def reason(error: Exception) -> str:
    """The message of a library's error on one line of at most 300 characters."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _unpickled(path: Path) -> Any:
    # some published files hold scores as numpy numbers beside the weights; these classes stand in for numpy's
    allowed = [(stand_in, name) for name, stand_in in pickles.STAND_INS.items()]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():  # type: ignore[arg-type]
        warnings.simplefilter("ignore")  # on sparse tensors, which are refused
        return torch.load(path, weights_only=True, map_location="cpu")
