"""Successive halving over methods and their settings: one Optuna study, whose pruner compares trials of all methods.

Every method gets one trial per round: first its default setting, then settings that the sampler draws. A trial goes
through the rungs of the plan until Optuna's SuccessiveHalvingPruner stops it. Rungs count as 1, 3, 9 units.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from benchmarks.advice.budget import Clock
from benchmarks.advice.judging import Judged, judged, lasting, together
from benchmarks.advice.plan import FACTOR, Plan
from benchmarks.executors.attempt import Failure
from benchmarks.records.spec import Epoch, Spec
from benchmarks.training.train import Diverged
from benchmarks.tuning import space, studies
from benchmarks.tuning.space import Search
from benchmarks.tuning.studies import FINISHED
from methods.errors import check

MOST_ROUNDS, MOST_FAILURES = 20, 2  # rounds of trials; trials of a method that may fail
USED, SEARCHED = "used_seconds", "searched"
OnTrial = Callable[[str, str], None]  # gets the method, and how its trial ended


class OutOfTime(Exception):
    """The time for this part of the budget is over."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What is compared, where, and how: the study, a search per method, the plan, the device and the clock."""

    own: optuna.Study
    searches: Mapping[str, Search]
    plan: Plan
    device: torch.device
    clock: Clock
    on_epoch: Callable[[str, Epoch], None]

    def judge(self, spec: Spec, epochs: int, folds: range, until: float) -> list[Judged]:
        """Judge a configuration on some folds.

        Raises:
            OutOfTime: the clock shows ``until`` seconds.
        """

        def on_epoch(epoch: Epoch) -> None:
            self.on_epoch(spec.method, epoch)
            if self.clock.used > until:
                raise OutOfTime

        lasts = replace(spec, recipe=lasting(spec.recipe, epochs))
        alone = self.plan.folds == 1
        return [judged(lasts, self.device, on_epoch, fold=None if alone else fold) for fold in folds]

    def note_time(self) -> None:
        """Keep how much of the budget is used, for a later execution."""
        self.own.set_user_attr(USED, self.clock.used)


class Prefixed:
    """Draws the options of one method in a study of several methods, under the names METHOD.OPTION."""

    def __init__(self, trial: optuna.Trial, method: str) -> None:
        self._trial, self._method = trial, method

    def suggest_float(self, name: str, low: float, high: float, **settings: Any) -> float:
        return self._trial.suggest_float(f"{self._method}.{name}", low, high, **settings)

    def suggest_int(self, name: str, low: int, high: int, **settings: Any) -> int:
        return self._trial.suggest_int(f"{self._method}.{name}", low, high, **settings)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._trial.suggest_categorical(f"{self._method}.{name}", choices)


def study(storage: optuna.storages.BaseStorage, name: str) -> optuna.Study:
    """The study of this name; it is created if it is missing. Trials of a killed process count as failed."""
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    own = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
    )
    while own.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        own.ask()
    for trial in own.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        own.tell(trial.number, state=TrialState.FAIL)
    return own


def search(contest: Contest, on_trial: OnTrial) -> None:
    """Run rounds of trials: those of the plan, and more while there is time. A finished search does nothing.

    Raises:
        UserError: no trial came through all rungs.
    """
    own, plan, clock = contest.own, contest.plan, contest.clock
    try:
        for number in [] if own.user_attrs.get(SEARCHED) else range(MOST_ROUNDS):
            if number >= plan.rounds and clock.used + _seconds(own, number - 1) > plan.search_until:
                break
            while waiting := _open(own, plan, number):
                for method in waiting:
                    _run(contest, method, number, on_trial)
    except OutOfTime:
        pass  # a round that is not whole counts as far as it came
    own.set_user_attr(SEARCHED, True)
    failed = failures(own)
    reason = f": {next(iter(failed.values()))}" if failed else " in this time; give a larger --budget"
    check(bool(judged_at(own, len(plan.rungs) - 1)), f"no method could be judged{reason}")


def leading(own: optuna.Study) -> dict[str, FrozenTrial]:
    """The trial of each method that came furthest, of equal ones the one with the highest value, then the first."""
    found: dict[str, FrozenTrial] = {}
    for trial in own.get_trials(deepcopy=False, states=FINISHED):
        method = trial.user_attrs["method"]
        if trial.last_step and (method not in found or _reached(trial) > _reached(found[method])):
            found[method] = trial
    return found


def judged_at(own: optuna.Study, unit: int) -> dict[str, Judged]:
    """What the leading trials of those methods whose leading trial came to this rung were judged to be there."""
    return {
        method: Judged.from_json(trial.user_attrs[f"rung {unit}"])
        for method, trial in leading(own).items()
        if f"rung {unit}" in trial.user_attrs
    }


def last_unit(trial: FrozenTrial) -> int:
    """The number of the last rung that a trial came to, from 0."""
    return len(trial.intermediate_values) - 1


def _reached(trial: FrozenTrial) -> tuple[int, float]:
    return last_unit(trial), value(trial)


def value(trial: FrozenTrial) -> float:
    """What a trial was judged to be on its last rung."""
    assert trial.last_step is not None
    return trial.intermediate_values[trial.last_step]


def failures(own: optuna.Study) -> dict[str, str]:
    """Why methods failed as often as they may, in one line each."""
    errors: dict[str, list[str]] = {}
    for trial in own.get_trials(deepcopy=False):
        if "error" in trial.user_attrs:
            errors.setdefault(trial.user_attrs["method"], []).append(trial.user_attrs["error"])
    return {method: told[-1] for method, told in errors.items() if len(told) >= MOST_FAILURES}


def _open(own: optuna.Study, plan: Plan, number: int) -> list[str]:
    """The methods that have not failed and lack a trial of this round."""
    trials = own.get_trials(deepcopy=False, states=FINISHED)
    done = {t.user_attrs["method"] for t in trials if t.user_attrs["round"] == number}
    return [method for method in plan.methods if method not in {*done, *failures(own)}]


def _seconds(own: optuna.Study, number: int) -> float:
    """How long a round took."""
    trials = own.get_trials(deepcopy=False, states=FINISHED)
    return sum(float(t.user_attrs["seconds"]) for t in trials if t.user_attrs["round"] == number)


def _run(contest: Contest, method: str, number: int, on_trial: OnTrial) -> None:
    """One trial, whose random numbers depend on its method and round alone."""
    own, search = contest.own, contest.searches[method]
    default = space.defaults(search) if number == 0 else {}
    own.enqueue_trial(
        {"method": method} | {f"{method}.{option}": value for option, value in default.items()},
        user_attrs={"method": method, "round": number},
    )
    place = contest.plan.methods.index(method)
    own.sampler = optuna.samplers.TPESampler(seed=number * 1009 + place, n_startup_trials=studies.RANDOM_TRIALS)
    trial, start = own.ask(), contest.clock.used
    trial.suggest_categorical("method", contest.plan.methods)
    state, found = TrialState.FAIL, None
    try:
        spec = space.suggested(search, Prefixed(trial, method), first=number == 0)  # type: ignore[arg-type]
        trial.set_user_attr("config", spec.to_json()["config"])
        state, found = _climb(contest, spec, trial)
    except Diverged:
        state = TrialState.PRUNED  # a bad setting is a result, not a failure
    except OutOfTime:
        raise
    except Exception as error:  # one method that fails must not stop the others
        failure = Failure.from_error(error)
        trial.set_user_attr("error", failure.reason)
        trial.set_user_attr("traceback", failure.traceback)
    finally:
        trial.set_user_attr("seconds", contest.clock.used - start)
        own.tell(trial, found, state=state)
        contest.note_time()
    on_trial(method, _ending(contest, trial.number))


def _climb(contest: Contest, spec: Spec, trial: optuna.Trial) -> tuple[TrialState, float | None]:
    """Go from rung to rung until the pruner stops the trial. Folds of the same length are not trained twice."""
    plan, parts, before = contest.plan, list[Judged](), 0
    until = plan.search_until + max(0.0, contest.clock.budget - plan.test_seconds - plan.search_until) / 2
    for unit, (epochs, folds) in enumerate(plan.rungs):
        parts = parts if epochs == before else []
        parts += contest.judge(spec, epochs, range(len(parts), folds), until)
        before, found = epochs, together(parts, spec)
        trial.report(found.mean, FACTOR**unit)
        trial.set_user_attr(f"rung {unit}", asdict(found))
        if unit + 1 < len(plan.rungs) and trial.should_prune():
            return TrialState.PRUNED, None
    return TrialState.COMPLETE, found.mean


def _ending(contest: Contest, number: int) -> str:
    trial = contest.own.get_trials(deepcopy=False)[number]
    if "error" in trial.user_attrs:
        return f"failed: {trial.user_attrs['error']}"
    if not trial.intermediate_values:
        return "its loss was no number"
    epochs, folds = contest.plan.rungs[last_unit(trial)]
    on = "validation" if contest.plan.folds == 1 else f"{folds} of {contest.plan.folds} folds"
    stopped = ", stopped" if trial.state == TrialState.PRUNED else ""
    return f"{100 * value(trial):.1f} % on {on} after {epochs} epochs{stopped}"
