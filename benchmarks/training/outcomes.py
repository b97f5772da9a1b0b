"""What the stages of a run leave behind, so that an interrupted run continues after its last finished stage."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.files import sealed
from benchmarks.training import measure


class Outcomes:
    """The outcomes of stages, in files below ``folder``; without a folder nothing is kept.

    ``code`` is the digest of the method's code. An outcome of other code does not count.

    ``seconds`` and ``peak_memory_bytes`` are what earlier executions of the run cost, up to the last outcome that was
    read. They are zero in a run that was not interrupted.
    """

    def __init__(self, folder: Path | None, device: torch.device, code: str | None) -> None:
        self.folder, self.device, self.code = folder, device, code or ""
        self.seconds, self.peak_memory_bytes = 0.0, 0
        self._start = time.perf_counter()

    def keep(self, name: str, tensors: dict[str, Tensor], values: dict[str, Any]) -> None:
        """Keep the outcome of a stage: tensors, and values for JSON."""
        if self.folder is not None:
            seconds = self.seconds + time.perf_counter() - self._start
            cost = {"seconds": seconds, "peak_memory_bytes": self.peak(measure.peak_memory_bytes(self.device))}
            told = {"values": json.dumps(values), "cost": json.dumps(cost), "code": self.code}
            sealed.write_tensors(self.folder / f"{name}.safetensors", tensors, told)

    def kept(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """What ``keep`` kept in an earlier, unfinished execution of the same code; None if there is nothing whole."""
        if self.folder is None:
            return None
        path = self.folder / f"{name}.safetensors"
        sealed.warn_if_damaged(path)
        found = sealed.read_tensors(path)
        if found is None or found[1].get("code") != self.code:
            return None
        cost = json.loads(found[1]["cost"])
        self.seconds = max(self.seconds, cost["seconds"])
        self.peak_memory_bytes = self.peak(cost["peak_memory_bytes"])
        return found[0], json.loads(found[1]["values"])

    def peak(self, peak_memory_bytes: int) -> int:
        """The peak of this execution or that of earlier ones, whichever is larger."""
        return max(self.peak_memory_bytes, peak_memory_bytes)
