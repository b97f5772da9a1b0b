"""What is shown while methods are compared: a live display on a terminal, else one line per step."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.advice.budget import Clock
from benchmarks.cli import duration, progress, visible
from benchmarks.records.spec import Epoch


class Display:
    """Shows the step at hand and how much of the budget is used."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._bar = clock, progress()
        self._step = self._bar.add_task("seconds", total=round(clock.budget))

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._bar:
            yield

    def epoch(self, method: str, epoch: Epoch) -> None:
        """Show how far the training at hand is."""
        text = f"{method}, {epoch['stage']} {epoch['epoch']}/{epoch['epochs']}; seconds"
        self._bar.update(self._step, description=text, completed=round(self._clock.used))

    def step(self, method: str, ending: str) -> None:
        """Tell what came out of a step."""
        line = visible(f"{duration(self._clock.used)} of {duration(self._clock.budget)}: {method}: {ending}")
        if self._bar.disable:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False)
