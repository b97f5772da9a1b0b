"""Steps timed in turn, and the record of it: raw times, from which every ratio is made."""

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
from benchmarks.measure import StepClock

if TYPE_CHECKING:
    import torch

    from benchmarks.timing.steps import Step

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Round = dict[str, float]  # milliseconds by part


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of every part of every step in every round; the first step is what the others are compared with.

    ``setting`` says what was timed, ``machine`` where, and with how many processes that wanted to run before and after.
    ``peak_bytes`` is what a process that takes this step alone has resident at most, where that was measured.
    ``first_ms`` are those of the round before, in which compiled steps are compiled.
    """

    setting: Mapping[str, Any]
    machine: Mapping[str, Any]
    rounds: Mapping[str, Sequence[Round]]
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    first_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def base(self) -> str:
        return next(iter(self.rounds))

    def ratios(self, name: str, part: str | None = None) -> list[float]:
        """Round by round: a step over the first one, or a part over its, over all of it where it has no such part."""
        pairs = zip(self.rounds[name], self.rounds[self.base], strict=True)
        return [_time(own, part) / (_time(base, part) or _time(base)) for own, base in pairs]

    def ratio(self, name: str, part: str | None = None) -> float:
        """Median over rounds."""
        return statistics.median(self.ratios(name, part))

    def ms(self, name: str, part: str | None = None) -> float:
        """Median milliseconds."""
        return statistics.median(_time(round_, part) for round_ in self.rounds[name])

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Timing:
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def interleaved(steps: Mapping[str, Step], rounds: int, device: torch.device, clock: str) -> dict[str, list[Round]]:
    """Each step once a round, in turn."""
    import torch

    clocks = {name: StepClock(device, CLOCKS[clock]) for name in steps}
    with progress() as bar:
        task = bar.add_task("", total=rounds * len(steps))
        for _ in range(rounds):
            for name, step in steps.items():
                bar.update(task, description=f"timing {name}")
                with clocks[name].step() as mark:
                    step(mark)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)  # so that no step waits for the one before
                bar.advance(task)
    return {
        name: [{part: round(ms, 3) for part, ms in step.items()} for step in times.steps_ms()]
        for name, times in clocks.items()
    }


def machine(device: torch.device, load: float) -> dict[str, Any]:
    """Where a timing was made; ``load`` is how many processes wanted to run before it."""
    import torch

    from benchmarks.executors import _device_name

    return {
        "device": _device_name(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }


def _time(round_: Mapping[str, float], part: str | None = None) -> float:
    return round_.get(part, 0.0) if part else sum(round_.values())
