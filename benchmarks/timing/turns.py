"""Turns that steps take, and what they took: raw times, from which every ratio is made."""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import progress
from benchmarks.files.writing import write_atomic
from benchmarks.training.measure import StepClock

if TYPE_CHECKING:
    import torch

    from benchmarks.timing.steps import Step

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Turn = tuple[str, dict[str, float]]  # a step, and milliseconds by part


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of every part of every turn, in their order; the first step is what the others are compared with.

    ``setting`` says what was timed, ``machine`` where, and with how many processes that wanted to run before and after.
    ``peak_bytes`` is what a process that takes this step alone has resident at most, where that was measured.
    ``first_ms`` are those of the turn to warm up, in which compiled steps are compiled.
    """

    setting: Mapping[str, Any]
    machine: Mapping[str, Any]
    turns: Sequence[Turn]
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    first_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def steps(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.turns))

    @property
    def base(self) -> str:
        return self.turns[0][0]

    def of(self, name: str) -> list[dict[str, float]]:
        """The turns of one step."""
        return [parts for step, parts in self.turns if step == name]

    def ratios(self, name: str, part: str | None = None) -> list[float]:
        """Turn by turn: a step over the mean of the first one's nearest turns, before and after; the first one as well.

        Or a part over theirs; over all of them where they have no such part.
        """
        bases = [at for at, (step, _) in enumerate(self.turns) if step == self.base]
        found = []
        for at, (step, own) in enumerate(self.turns):
            if step == name:
                beside = [*[i for i in bases if i < at][-1:], *[i for i in bases if i > at][:1]] or [at]
                base = [_time(self.turns[i][1], part) or _time(self.turns[i][1]) for i in beside]
                found.append(_time(own, part) / statistics.mean(base))
        return found

    def ratio(self, name: str, part: str | None = None) -> float:
        """Median over turns."""
        return statistics.median(self.ratios(name, part))

    def ms(self, name: str, part: str | None = None) -> float:
        """Median milliseconds."""
        return statistics.median(_time(parts, part) for parts in self.of(name))

    def write(self, path: Path) -> None:
        write_atomic(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Timing:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(**kept | {"turns": [(name, parts) for name, parts in kept["turns"]]})


def interleaved(steps: Mapping[str, Step], rounds: int, device: torch.device, clock: str) -> list[Turn]:
    """A turn of each step to warm up, then rounds: each step but the first, and the first before and after each."""
    import torch

    base, *others = steps
    order = [*steps, *[name for other in others for name in (base, other)] * rounds, base]
    timed = StepClock(device, CLOCKS[clock])
    with progress() as bar:
        task = bar.add_task("", total=len(order))
        for name in order:
            bar.update(task, description=f"timing {name}")
            with timed.step() as mark:
                steps[name](mark)
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # so that no step waits for the one before
            bar.advance(task)
    parts = [{part: round(ms, 3) for part, ms in step.items()} for step in timed.steps_ms()]
    return list(zip(order, parts, strict=True))


def machine(device: torch.device, load: float) -> dict[str, Any]:
    """Where a timing was made; ``load`` is how many processes wanted to run before it."""
    import torch

    from benchmarks.training.environment import device_name

    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def _time(parts: Mapping[str, float], part: str | None = None) -> float:
    return parts.get(part, 0.0) if part else sum(parts.values())
