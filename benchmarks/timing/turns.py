"""Turns: steps are timed one after the other in rounds, and every ratio is made from the raw times of these turns."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.cli import progress
from benchmarks.files.writing import write_atomic
from benchmarks.timing.steps import Step
from benchmarks.training.measure import StepClock

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Turn = tuple[str, dict[str, float]]  # the name of a step, and the milliseconds of each of its parts


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The milliseconds of all turns in their order. The first step is the one that the others are compared with.

    ``setting`` says what was timed; ``machine`` says where, with the load average before and after. ``peak_bytes`` is
    the peak memory of a process that takes only this step, if it was measured. ``first_ms`` is the time of the warm-up
    turn of compiled steps, in which they are compiled.
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
        """The times of all turns of one step."""
        return [parts for step, parts in self.turns if step == name]

    def ratios(self, name: str, part: str | None = None) -> list[float]:
        """The ratio of every turn of a step to the mean of the nearest turns of the first step, before and after it.

        With ``part``, the part is compared with the same part of the first step, or with the whole first step if that
        has no such part. The first step's own turns are compared with their neighbours in the same way.
        """
        bases = [at for at, (step, _) in enumerate(self.turns) if step == self.base]
        found = []
        for at, own in ((at, own) for at, (step, own) in enumerate(self.turns) if step == name):
            beside = [*[i for i in bases if i < at][-1:], *[i for i in bases if i > at][:1]] or [at]
            base = [_time(self.turns[i][1], part) or _time(self.turns[i][1]) for i in beside]
            found.append(_time(own, part) / statistics.mean(base))
        return found

    def ratio(self, name: str, part: str | None = None) -> float:
        """The median ratio over all turns of a step."""
        return statistics.median(self.ratios(name, part))

    def ms(self, name: str, part: str | None = None) -> float:
        """The median milliseconds over all turns of a step."""
        return statistics.median(_time(parts, part) for parts in self.of(name))

    def write(self, path: Path) -> None:
        write_atomic(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Timing:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return cls(**kept | {"turns": [(name, parts) for name, parts in kept["turns"]]})


def interleaved(steps: Mapping[str, Step], rounds: int, device: torch.device, clock: str) -> list[Turn]:
    """A warm-up turn of each step, then rounds. In a round, each other step has its turn between two of the first."""
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
                torch.cuda.synchronize(device)  # so that no step waits for the work of the step before it
            bar.advance(task)
    steps_ms = zip(order, timed.steps_ms(), strict=True)
    return [(name, {part: round(ms, 3) for part, ms in parts.items()}) for name, parts in steps_ms]


def _time(parts: Mapping[str, float], part: str | None = None) -> float:
    return parts.get(part, 0.0) if part else sum(parts.values())
