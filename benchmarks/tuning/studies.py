"""One Optuna study per method, task and backbone, with a fixed number of trials that only see the validation split.

The trials draw options from the method's search space, or take given sets of options, one each.

A study has one slot per trial that was asked for. Each slot has its own random numbers. The first trial of a slot that
has not failed holds the slot. So processes and machines that share a storage finish exactly the number of trials asked
for, even if some of them are killed. A trial without a heartbeat for the storage's grace period fails, and its slot is
free again.
"""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import optuna
import torch
from optuna.trial import TrialState
from torch import Tensor

from benchmarks.executors.attempt import Failure
from benchmarks.records.spec import Epoch, Spec
from benchmarks.tracking.tuning import Study, Trial
from benchmarks.training.run import loader, pool, prepare
from benchmarks.training.train import Diverged, Load
from benchmarks.tuning import space
from benchmarks.tuning.databases import StudyDatabase
from benchmarks.tuning.space import Search

RANDOM_TRIALS = 5  # before TPE draws from what it has seen
UNPRUNED_TRIALS = 4  # finished trials before the median pruner compares any
MOST_FAILURES = 3  # per slot
DIGEST = "method_digest"  # the attribute of a study that tells its code
METRIC = "val_accuracy"  # what a study maximises, as dashboards name it
HELD = (TrialState.WAITING, TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


class Broken(RuntimeError):
    """A slot's trials failed MOST_FAILURES times."""


class _Forfeited(Exception):
    """Another trial holds the slot."""


def study(search: Search, database: StudyDatabase) -> optuna.Study:
    """Return the study of a search; create it if it is missing."""
    epochs = search.base.recipe.epochs
    pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS, n_warmup_steps=epochs // 3)
    own = optuna.create_study(
        storage=database.storage, study_name=search.name, direction="maximize", pruner=pruner, load_if_exists=True
    )
    if own.metric_names is None:
        own.set_metric_names([METRIC])
    if search.base.method_digest and DIGEST not in own.user_attrs:
        own.set_user_attr(DIGEST, search.base.method_digest)
    return own


def work(search: Search, database: StudyDatabase, device: torch.device, *, on_trial: Callable[[], None]) -> None:
    """Run trials of a study until no slot is free, and call ``on_trial`` after each.

    Raises:
        Broken: a slot's trials failed MOST_FAILURES times in this command. The message has the last reason and its
            traceback.
    """
    own = study(search, database)
    while waiting := fill(own, search, database):
        # a slot's random numbers depend neither on the process that draws them nor on earlier interruptions
        seed = (search.base.seed * 100_003 + waiting[0].user_attrs["slot"]) % 2**32
        own.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
        ran: list[int] = []
        try:
            own.optimize(partial(_objective, search, device, ran), n_trials=1, catch=(Exception,))
        except optuna.exceptions.UpdateFinishedTrialError:
            pass  # another process took the trial for dead before it started; its slot is free again
        except (ValueError, AssertionError):  # from Optuna, if another process took the trial for dead and failed it
            if not ran or own.get_trials(deepcopy=False)[ran[-1]].state != TrialState.FAIL:
                raise
        on_trial()


def unfinished(search: Search, database: StudyDatabase) -> int:
    """Return the number of slots without a finished trial. Trials of dead processes are failed first."""
    own = study(search, database)
    _fail_dead(own, database)
    return search.trials - len(_slots(own, search, FINISHED))


def counts(search: Search, database: StudyDatabase) -> Counter[str]:
    """Count the trials of a study by state: complete, pruned, fail, running, waiting."""
    return Counter(trial.state.name.lower() for trial in _of_slots(study(search, database), search))


def ended(search: Search, database: StudyDatabase) -> list[optuna.trial.FrozenTrial]:
    """Return the trials of a study that finished or failed with an error, in the order of their numbers."""
    trials = _of_slots(study(search, database), search)
    return [trial for trial in trials if trial.state in FINISHED or "error" in trial.user_attrs]


def copied(search: Search, database: StudyDatabase) -> Study:
    """Return the finished trials of a study, pruned ones among them, as MLflow gets them."""
    done = [trial for trial in _of_slots(study(search, database), search) if trial.state in FINISHED]
    slot = space.default_slot(search)
    return Study(name=search.name, base=search.base, default_slot=slot, trials=[_copied(trial) for trial in done])


def _copied(trial: optuna.trial.FrozenTrial) -> Trial:
    start, end = (int(at.timestamp() * 1000) for at in (trial.datetime_start, trial.datetime_complete) if at)
    config, value = trial.user_attrs["config"], None if trial.state == TrialState.PRUNED else trial.value
    epochs = trial.intermediate_values
    return Trial(slot=trial.user_attrs["slot"], config=config, epochs=epochs, value=value, start_ms=start, end_ms=end)


def best(search: Search, database: StudyDatabase) -> optuna.trial.FrozenTrial | None:
    """Return the first trial with the highest validation accuracy; None if all trials were pruned."""
    complete = [t for t in _of_slots(study(search, database), search) if t.state == TrialState.COMPLETE]
    return max(complete, key=lambda trial: (trial.value, -trial.user_attrs["slot"]), default=None)


def default_value(search: Search, database: StudyDatabase) -> float | None:
    """Return the validation accuracy of the method's default configuration; None if it was pruned or is not tried."""
    slot, trials = space.default_slot(search), _of_slots(study(search, database), search)
    return next((t.value for t in trials if t.user_attrs["slot"] == slot and t.state == TrialState.COMPLETE), None)


def _objective(search: Search, device: torch.device, ran: list[int], trial: optuna.Trial) -> float:
    ran.append(trial.number)
    _claim(trial)
    try:
        spec = space.suggested(search, trial, first=trial.user_attrs["slot"] == 0)
        trial.set_user_attr("config", spec.to_json()["config"])
        return validated(spec, device, trial)
    except Diverged:
        raise optuna.TrialPruned from None  # a bad configuration is a result, not a failure
    except (optuna.TrialPruned, optuna.exceptions.UpdateFinishedTrialError):
        raise  # pruned; or another process took this trial for dead, and its slot is free again
    except Exception as error:
        failure = Failure.from_error(error)
        trial.set_user_attr("error", failure.reason)
        trial.set_user_attr("traceback", failure.traceback)
        raise


def validated(spec: Spec, device: torch.device, trial: optuna.Trial) -> float:
    """Train on the training split and return the accuracy on the validation split. Reports every epoch to Optuna."""

    def on_epoch(epoch: Epoch) -> None:
        if epoch["stage"] == "train" and (measured := trainer.history[-1]["val_accuracy"]) is not None:
            trial.report(measured, epoch["epoch"])
            if epoch["epoch"] < epoch["epochs"] and trial.should_prune():
                raise optuna.TrialPruned

    trainer = prepare(spec, without_test(spec), device, on_epoch, pool=pool(spec))
    trainer.model.method.fit(trainer)
    return float(trainer.history[-1]["val_accuracy"])


def without_test(spec: Spec) -> Load:
    """Return a function that loads the spec's splits, except for the test split."""
    load = loader(spec)

    def allowed(split: str) -> tuple[Tensor, Tensor]:
        assert split in ("train", "val"), f"tuning asked for the {split} split"
        return load(split)

    return allowed


def fill(own: optuna.Study, search: Search, database: StudyDatabase) -> list[optuna.trial.FrozenTrial]:
    """Queue a trial for every free slot. Return all queued trials, in the order in which they will run."""
    _fail_dead(own, database)
    held = _slots(own, search, HELD)
    failed = [t for t in _of_slots(own, search) if "error" in t.user_attrs and _began(t) >= database.since]
    failures = Counter(t.user_attrs["slot"] for t in failed)
    for slot in range(search.trials):
        if slot in held:
            continue
        if failures[slot] >= MOST_FAILURES:
            last = failed[-1].user_attrs
            message = f"trial {slot} of {search.name} failed {failures[slot]} times: {last['error']}"
            raise Broken(f"{message}\n{last['traceback']}")
        own.enqueue_trial(space.queued(search, slot), user_attrs={"slot": slot})
    return own.get_trials(deepcopy=False, states=(TrialState.WAITING,))


def _began(trial: optuna.trial.FrozenTrial) -> datetime:
    assert trial.datetime_start is not None
    return trial.datetime_start


def _fail_dead(own: optuna.Study, database: StudyDatabase) -> None:
    optuna.storages.fail_stale_trials(own)
    grace = timedelta(seconds=database.grace_seconds or 0)
    for trial in own.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # Optuna does not see a trial whose process was killed before its first heartbeat
        if "config" not in trial.user_attrs and _began(trial) + grace < datetime.now():
            own.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def _slots(own: optuna.Study, search: Search, states: tuple[TrialState, ...]) -> set[int]:
    return {trial.user_attrs["slot"] for trial in _of_slots(own, search) if trial.state in states}


def _of_slots(own: optuna.Study, search: Search) -> list[optuna.trial.FrozenTrial]:
    return [t for t in own.get_trials(deepcopy=False) if t.user_attrs.get("slot", search.trials) < search.trials]


def _claim(trial: optuna.Trial) -> None:
    """Give up if an earlier trial holds the slot: two processes may have queued it at once."""
    slot = trial.user_attrs.get("slot")
    others = trial.study.get_trials(deepcopy=False, states=HELD)
    if slot is None or any(o.number < trial.number and o.user_attrs.get("slot") == slot for o in others):
        raise _Forfeited
