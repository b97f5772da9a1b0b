"""One Optuna study for each method, task and backbone: a fixed number of trials, judged on the validation split alone.

A study has as many slots as trials were asked for, each with its own random numbers. A slot is held by the first trial
of its number that has not failed, so that processes and machines that share a storage finish exactly that many, however
often they were killed. A trial without a sign of life for the storage's grace period fails, and its slot is free again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import optuna
import torch
from optuna.trial import TrialState

from benchmarks.executors.attempt import Failure
from benchmarks.records.spec import Spec
from benchmarks.training.run import loader, prepare
from benchmarks.training.train import Diverged, Epoch

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.training.train import Load, Trainer
    from benchmarks.tuning.databases import StudyDatabase

RANDOM_TRIALS = 5  # before TPE has enough to go by
UNPRUNED_TRIALS = 4  # that finish before any is compared with their median
MOST_FAILURES = 3  # of one slot
HELD = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Broken(RuntimeError):
    """A trial of a slot failed again and again."""


class _Forfeited(Exception):
    """Another trial holds the slot."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study that is asked for: the run that its trials vary, and how many of them; picklable."""

    base: Spec
    fixed: tuple[str, ...]
    trials: int

    @property
    def name(self) -> str:
        """The study's name: suite, method, task, a digest of all that a trial does not choose, and what is fixed."""
        fixed = "".join(f"+{name}" for name in self.fixed)
        return f"{self.base.suite}/{self.base.method}/{self.base.task}/{self.base.key[:8]}{fixed}"

    def __str__(self) -> str:
        return f"{self.base.method} on {self.base.task}"


def study(search: Search, database: StudyDatabase) -> optuna.Study:
    """The study of a search, made if it is not there."""
    epochs = search.base.recipe.epochs
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=epochs // 3)
    return optuna.create_study(
        storage=database.storage, study_name=search.name, direction="maximize", pruner=pruner, load_if_exists=True
    )


def work(
    search: Search,
    database: StudyDatabase,
    device: torch.device,
    *,
    on_trial: Callable[[], None],
) -> None:
    """Run trials of a study until no slot is free, telling of each that ended.

    Raises:
        Broken: a slot's trials failed again and again; the message has the last reason and its traceback.
    """
    own = study(search, database)
    while waiting := _fill(own, search, database):
        # a slot's random numbers do not depend on which process draws them, or on what was interrupted before
        seed = search.base.seed * 100_003 + waiting[0].user_attrs["slot"]
        own.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        ran: list[int] = []
        try:
            own.optimize(partial(_objective, search, device, ran), n_trials=1, catch=(Exception,))
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # others took it for dead before it had begun, and its slot is free again
        except Exception:  # of several kinds, by Optuna, at the end of a trial that others took for dead and failed
            if not ran or own.get_trials(deepcopy=False)[ran[-1]].state != TrialState.FAIL:
                raise
        on_trial()


def unfinished(search: Search, database: StudyDatabase) -> int:
    """Slots without a finished trial, after trials that nobody works on any more have failed."""
    own = study(search, database)
    _fail_dead(own, database)
    return search.trials - len(_slots(own, search, FINISHED))


def counts(search: Search, database: StudyDatabase) -> Counter[str]:
    """Trials of a study by state: complete, pruned, fail, running, waiting."""
    return Counter(trial.state.name.lower() for trial in _of_slots(study(search, database), search))


def best(search: Search, database: StudyDatabase) -> optuna.trial.FrozenTrial | None:
    """The first of the finished trials with the highest validation accuracy; None where all were pruned."""
    complete = [t for t in _of_slots(study(search, database), search) if t.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.value, -trial.user_attrs["slot"]), default=None)


def default_value(search: Search, database: StudyDatabase) -> float | None:
    """Validation accuracy of the first trial, which is the method's own configuration; None if it was pruned."""
    first = [t for t in _of_slots(study(search, database), search) if t.user_attrs["slot"] == 0]
    return next((t.value for t in first if t.state == TrialState.COMPLETE), None)


def _objective(search: Search, device: torch.device, ran: list[int], trial: optuna.Trial) -> float:
    ran.append(trial.number)
    _claim(trial)
    try:
        spec = suggested(search, trial)
        trial.set_user_attr("config", spec.to_json()["config"])
        return _validated(spec, device, trial)
    except optuna.TrialPruned:
        raise
    except Diverged:
        raise optuna.TrialPruned from None  # an answer, and a poor one
    except optuna.exceptions.UpdateFinishedTrialError:
        raise  # it was taken for dead, and its slot given away
    except Exception as error:
        failure = Failure.of(error)
        trial.set_user_attr("error", failure.reason)
        trial.set_user_attr("traceback", failure.traceback)
        raise


def suggested(search: Search, trial: optuna.trial.BaseTrial) -> Spec:
    """The run of a trial: what the method suggests, with what the user fixed over it."""
    base = search.base
    config = type(base.config).suggest(trial)  # type: ignore[arg-type]
    return replace(base, config=replace(config, **{name: getattr(base.config, name) for name in search.fixed}))


def _validated(spec: Spec, device: torch.device, trial: optuna.Trial) -> float:
    """Train a run on the training split and return its accuracy on the validation split, that of every epoch told."""
    told: list[Trainer] = []

    def on_epoch(epoch: Epoch) -> None:
        if epoch["stage"] == "train":
            trial.report(told[0].history[-1]["val_accuracy"], epoch["epoch"])
            if epoch["epoch"] < epoch["epochs"] and trial.should_prune():
                raise optuna.TrialPruned

    trainer = prepare(spec, _without_test(spec), device, on_epoch)
    told.append(trainer)
    trainer.model.method.fit(trainer)
    return float(trainer.history[-1]["val_accuracy"])


def _without_test(spec: Spec) -> Load:
    load = loader(spec)

    def allowed(split: str) -> tuple[Tensor, Tensor]:
        assert split in ("train", "val"), f"tuning asked for the {split} split"
        return load(split)

    return allowed


def _fill(own: optuna.Study, search: Search, database: StudyDatabase) -> list[optuna.trial.FrozenTrial]:
    """Queue a trial for every slot that none holds; returns all that wait, in the order they will be taken."""
    _fail_dead(own, database)
    held = _slots(own, search, HELD)
    failures = Counter(t.user_attrs["slot"] for t in _of_slots(own, search) if "error" in t.user_attrs)
    for slot in range(search.trials):
        if slot in held:
            continue
        if failures[slot] >= MOST_FAILURES:
            last = [t.user_attrs for t in own.get_trials(deepcopy=False) if "error" in t.user_attrs][-1]
            told = f"trial {slot} of {search.name} failed {failures[slot]} times: {last['error']}"
            raise Broken(f"{told}\n{last['traceback']}")
        # the first trial is the method as it comes, so that tuning never ends below it on validation
        own.enqueue_trial(_defaults(search) if slot == 0 else {}, user_attrs={"slot": slot})
    return own.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _fail_dead(own: optuna.Study, database: StudyDatabase) -> None:
    optuna.storages.fail_stale_trials(own)
    grace = timedelta(seconds=database.grace_seconds)
    for trial in own.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        assert trial.datetime_start is not None
        # killed between its first moment and its first sign of life, which Optuna waits for
        if "config" not in trial.user_attrs and trial.datetime_start + grace < datetime.now():
            own.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _slots(own: optuna.Study, search: Search, states: tuple[TrialState, ...]) -> set[int]:
    return {trial.user_attrs["slot"] for trial in _of_slots(own, search) if trial.state in states}


def _of_slots(own: optuna.Study, search: Search) -> list[optuna.trial.FrozenTrial]:
    trials = own.get_trials(deepcopy=False)
    return [trial for trial in trials if trial.user_attrs.get("slot", search.trials) < search.trials]


def _claim(trial: optuna.Trial) -> None:
    """Give way where the slot is another's: two processes may have queued it at once."""
    slot = trial.user_attrs.get("slot")
    others = trial.study.get_trials(deepcopy=False, states=HELD)
    if slot is None or any(o.number < trial.number and o.user_attrs.get("slot") == slot for o in others):
        raise _Forfeited


def _defaults(search: Search) -> dict[str, Any]:
    """The method's own configuration in the names of its search space, as far as it lies inside."""
    probe = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    type(search.base.config).suggest(probe)
    values = {name: getattr(search.base.config, name, None) for name in probe.distributions}
    return {name: value for name, value in values.items() if _allowed(probe.distributions[name], value)}


def _allowed(distribution: optuna.distributions.BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution)
    return value is not None and distribution.low <= value <= distribution.high
