"""One line per ended trial, for an output that is no terminal."""

from collections.abc import Mapping

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from benchmarks.cli import duration
from benchmarks.executors import display
from benchmarks.tuning import studies
from benchmarks.tuning.databases import StudyDatabase
from benchmarks.tuning.space import Search


class Log:
    """Prints "3/14 lora on digits, trial 3: 93.8 % on validation, 8 s, about 2 min left" when a trial has ended.

    ``left`` has the searches with the numbers of trials that they lack. Trials that have ended before are not told.
    """

    def __init__(self, out: Console, left: Mapping[Search, int], database: StudyDatabase) -> None:
        self._lines, self._database = display.Log(out, sum(left.values())), database
        self._told = {search: {trial.number for trial in studies.ended(search, database)} for search in left}

    def tell(self, search: Search) -> None:
        """Print the lines of the trials of a study that have ended since the last call, here or elsewhere."""
        for trial in studies.ended(search, self._database):
            if trial.number not in self._told[search]:
                self._told[search].add(trial.number)
                failed = trial.state == TrialState.FAIL
                self._lines.end(f"{search}, trial {trial.user_attrs['slot']}", _outcome(trial), again=failed)


def _outcome(trial: FrozenTrial) -> str:
    """How a trial ended, and how long it took."""
    epochs = len(trial.intermediate_values)
    if trial.state == TrialState.FAIL:
        ending = f"failed: {trial.user_attrs['error']}"
    elif trial.state == TrialState.COMPLETE:
        ending = f"{100 * (trial.value or 0):.1f} % on validation"
    else:
        ending = f"stopped after {epochs} epoch{'s' * (epochs > 1)}" if epochs else "its loss was no number"
    return f"{ending}, {duration(trial.duration.total_seconds())}" if trial.duration else ending
