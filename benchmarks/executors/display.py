"""What is shown of a sweep: a live display with bars on a terminal, and one line per ended run elsewhere."""

import time
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from benchmarks.cli import duration
from benchmarks.records import store
from benchmarks.records.spec import Epoch, Spec


class Display:
    """One bar for all runs, and one per run that is running, here or elsewhere.

    Adds the bars of ``total`` runs to a live display that was started by the caller."""

    def __init__(self, bar: Progress, total: int) -> None:
        self._bar, self._runs = bar, bar.add_task("runs", total=total)
        self._shown: dict[Spec, TaskID] = {}

    def epoch(self, spec: Spec, epoch: Epoch) -> None:
        """Show how far a run is."""
        if spec not in self._shown:
            self._shown[spec] = self._bar.add_task(str(spec))
        self._bar.update(
            self._shown[spec], description=f"{spec}: {epoch['stage']}", completed=epoch["epoch"], total=epoch["epochs"]
        )

    def end(self, spec: Spec) -> None:
        """Count a run that has ended, and remove its bar."""
        self._bar.advance(self._runs)
        if spec in self._shown:
            self._bar.remove_task(self._shown.pop(spec))


class Log:
    """Prints "3/14 lora on digits, seed 0: 93.8 %, 8 s, about 2 min left" when one of ``total`` runs has ended."""

    def __init__(self, out: Console, total: int) -> None:
        self._out, self._total = out, total
        self._ended, self._start = 0, time.monotonic()

    def end(self, what: str, outcome: str, *, again: bool = False) -> None:
        """Print the line of what has ended; ``again`` says that it will be tried again, so that it does not count."""
        self._ended += not again
        left = (time.monotonic() - self._start) / max(self._ended, 1) * (self._total - self._ended)
        rest = f", about {duration(left)} left" if 0 < self._ended < self._total else ""
        self._out.print(f"{self._ended}/{self._total} {what}: {outcome}{rest}", highlight=False, soft_wrap=True)


def outcome(results: Path, spec: Spec) -> str:
    """How a run ended: its accuracy and its time, or why it failed."""
    trace = store.read_trace(results, spec)
    if trace:  # a finished run has none
        return f"failed: {trace['reason']}"
    try:
        record = store.read(store.record_path(results, spec))
    except store.BadRecord:  # such as a record that a shared folder does not show yet
        return "ended"
    return f"{100 * record['accuracy']['test']:.1f} %, {duration(record['cost']['train_seconds'])}"
