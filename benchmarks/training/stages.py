"""The outcomes of a run's finished stages, kept in files so that an interrupted run continues after them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from benchmarks.files.writing import write_atomic


def write(folder: Path, name: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
    """Write the outcome of the stage ``name``: tensors, and values that JSON can hold."""
    write_atomic(folder / f"{name}.safetensors", to_bytes(tensors, metadata={"values": json.dumps(values)}))


def read(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The outcome that ``write`` wrote in an earlier execution of the run; None if there is none."""
    if not (path := folder / f"{name}.safetensors").exists():
        return None
    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        return tensors, json.loads(file.metadata()["values"])
