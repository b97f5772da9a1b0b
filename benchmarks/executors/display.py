"""The live display of a sweep: one bar for all runs, and one bar per run that is running, here or elsewhere."""

from rich.progress import Progress, TaskID

from benchmarks.records.spec import Epoch, Spec


class Display:
    """Adds the bars of ``total`` runs to a live display that was started by the caller."""

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
