"""Reads the one-bit task files that PETL-ViT publishes for Bi-AdaptFormer and Bi-LoRA (Jie et al. 2023).

A file has no header. Every projection is its bits, eight per byte and the lowest bit first, and then its mean and its
deviation. Projections stand in the order of the blocks: down and up of AdaptFormer; down and up of q, then of v, of
LoRA. The head follows: the weight (classes, D) and the bias as numbers, or, with a binary head, its bits, mean and
deviation. Numbers are float32, little-endian. A set bit is mean + deviation * LEVEL, another mean - deviation * LEVEL.

https://github.com/JieShibo/PETL-ViT/blob/bdfcee92b3244038309ab7ff02baf16b733dcc41/binary_adapter/utils.py
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from methods.binary import LEVEL, Binary, from_bytes
from methods.errors import UserError, check

METHODS = {"adaptformer": "bi_adaptformer", "lora": "bi_lora"}
BINARY_HEAD = "-bihead"  # ends the name of a method whose head has one bit per weight, too
NUMBER = (int, float)
TYPES: dict[str, Any] = {"dataset": str, "num_class": int, "method": str, "dim": int, "bit": int, "scale": NUMBER}
NUMBER_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the YAML file beside a task file says: the data set, the method here with its options, and the head."""

    dataset: str
    classes: int
    method: str
    options: Mapping[str, Any]
    binary_head: bool


def card(path: Path) -> Card:
    """Read the YAML file that is published beside a task file.

    Raises:
        UserError: the file cannot be read, lacks a field, or is of a method or of bits that have no form here.
    """
    found = _fields(path)
    method, dim, scale = found["method"].removesuffix(BINARY_HEAD), found["dim"], float(found["scale"])
    check(method in METHODS, f"{path}: method {found['method']} has no form here; known: {', '.join(METHODS)}")
    check(found["bit"] == 1, f"{path}: bit={found['bit']} has no form here; only files with 1 bit per weight have one")
    return Card(
        dataset=found["dataset"],
        classes=found["num_class"],
        method=METHODS[method],
        options={"hidden": dim, "scale": scale} if method == "adaptformer" else {"rank": dim, "alpha": scale * dim},
        binary_head=method != found["method"],
    )


def _fields(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from None
    given = found if isinstance(found, dict) else {}
    wrong = [name for name, kind in TYPES.items() if not isinstance(given.get(name), kind)]
    lacking = ", ".join(wrong)
    check(not wrong, f"{path} has no usable {lacking}; give the YAML file that PETL-ViT has beside the task file")
    return given


@torch.no_grad()
def fill(method: Binary, head: nn.Linear, path: Path, *, binary_head: bool) -> None:
    """Copy the weights of a task file into an untrained method and its head.

    Raises:
        UserError: the file cannot be read, or has another number of bytes than this method and head.
    """
    weights = {name: projection.weight for name, projection in method.projections()}
    numbers = 0 if binary_head else head.weight.numel() + head.bias.numel()
    binary = [*weights.values(), *([head.weight] if binary_head else [])]
    size = sum(map(_binary_bytes, binary)) + numbers * NUMBER_BYTES
    left, state = _content(path, size), method.state_dict()
    for name, weight in weights.items():
        state[f"{name}.weight"], left = _two_values(left, weight)
    method.finish()
    method.load_state_dict(state)
    if binary_head:
        weight, _ = _two_values(left, head.weight)
        head.load_state_dict({"weight": weight, "bias": torch.zeros_like(head.bias)})
    else:
        weight, bias = _numbers(left).split([head.weight.numel(), head.bias.numel()])
        head.load_state_dict({"weight": weight.view_as(head.weight), "bias": bias})


def _content(path: Path, size: int) -> bytes:
    """The content of a file of this many bytes."""
    try:
        found = path.stat().st_size
        check(
            found == size,
            f"{path} has {found} bytes, but this method and head have {size}; give the YAML file that belongs to it",
        )
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _two_values(content: bytes, weight: Tensor) -> tuple[Tensor, bytes]:
    """A weight of this one's shape from the start of the content, and the rest of the content."""
    count, end = weight.numel() // 8, _binary_bytes(weight)
    bits = from_bytes(torch.frombuffer(bytearray(content[:count]), dtype=torch.uint8), weight.shape)
    mean, deviation = _numbers(content[count:end])
    return mean + deviation * torch.where(bits, LEVEL, -LEVEL), content[end:]


def _binary_bytes(weight: Tensor) -> int:
    return weight.numel() // 8 + 2 * NUMBER_BYTES


def _numbers(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.float32)
