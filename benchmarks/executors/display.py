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
    """Prints "3/14 lora on digits, seed 0: 93.8 %, 8 s, about 2 min left" when a run of ``total`` has ended."""

    def __init__(self, out: Console, results: Path, total: int) -> None:
        self._out, self._results, self._total = out, results, total
        self._ended, self._start = 0, time.monotonic()

    def end(self, spec: Spec) -> None:
        """Print the line of a run that has ended."""
        self._ended += 1
        left = (time.monotonic() - self._start) / self._ended * (self._total - self._ended)
        rest = f", about {duration(left)} left" if self._ended < self._total else ""
        line = f"{self._ended}/{self._total} {spec}: {self._outcome(spec)}{rest}"
        self._out.print(line, highlight=False, soft_wrap=True)

    def _outcome(self, spec: Spec) -> str:
        trace = store.read_trace(self._results, spec)
        if trace:  # a finished run has none
            return f"failed: {trace['reason']}"
        try:
            record = store.read(store.record_path(self._results, spec))
        except store.BadRecord:  # such as a record that a shared folder does not show yet
            return "ended"
        return f"{100 * record['accuracy']['test']:.1f} %, {duration(record['cost']['train_seconds'])}"
