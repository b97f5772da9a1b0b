"""The finals: fresh seeds of the best methods on validation, the choice, and then ordinary runs, which are tested."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import methods
from benchmarks.advice import choice, halving
from benchmarks.advice.halving import Contest, OnTrial, OutOfTime
from benchmarks.advice.judging import Judged, lasting, together
from benchmarks.executors import driver
from benchmarks.executors.attempt import Outcome
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.tuning.studies import FINISHED

MOST_REPEATS = 5
GRACE = 30  # seconds after the budget in which a run may still end
DECISION = "decision"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was chosen on validation: the method, the best one, those tied with it, and how all were judged."""

    chosen: str
    best: str
    tied: tuple[str, ...]
    finalists: tuple[str, ...]
    repeats: int
    judged: Mapping[str, Judged]


def decide(contest: Contest, on_trial: OnTrial) -> Decision:
    """Judge the finalists with fresh seeds while there is time, and choose. A decision that was made stays."""
    own = contest.own
    if DECISION not in own.user_attrs:
        found = halving.judged_at(own, len(contest.plan.rungs) - 1)
        some = choice.finalists(found, _unlucky(contest, found), contest.plan.finalists)
        repeats = _repeats(contest, some, on_trial) if len(some) > 1 and contest.plan.repeats else 0
        if repeats:
            again = {method: [_repeat(contest, method, n) for n in range(1, repeats + 1)] for method in some}
            found |= {method: choice.pooled([one for one in more if one]) for method, more in again.items()}
        compared = {method: found[method] for method in some} if repeats else found
        tied, best = choice.tied(compared), choice.best(compared)
        order = list(dict.fromkeys([tied[0], best, *(method for method in some if method in compared)]))
        order = order[: contest.plan.finalists]  # the first are tested first
        values = {"chosen": tied[0], "best": best, "tied": tied, "finalists": order, "repeats": repeats}
        own.set_user_attr(DECISION, values | {"judged": {method: asdict(one) for method, one in found.items()}})
    values = own.user_attrs[DECISION]
    lists = {name: tuple(values[name]) for name in ("tied", "finalists")}
    return Decision(**{**values, **lists, "judged": {m: Judged.from_json(one) for m, one in values["judged"].items()}})


def runs(contest: Contest, decision: Decision, seeds: tuple[int, ...]) -> list[Spec]:
    """The ordinary runs of the finalists: the chosen method first, and all of them with one seed before the next."""
    return [_final(contest, method, seed) for seed in seeds for method in decision.finalists]


def execute(contest: Contest, specs: list[Spec], results: Path, listeners: Listeners) -> Outcome:
    """Train and test the runs that have no record, as long as there is time; the first one always."""
    place, outcome = Place(executor="local", device=contest.device, workers=1), Outcome()
    seconds: dict[str, float] = {}
    for number, spec in enumerate(specs):
        if store.finished(results, spec):
            continue
        expected = seconds.get(spec.method, _expected(contest, spec.method))
        if number and contest.clock.left + GRACE < expected:
            continue  # a faster method may still fit
        start = contest.clock.used
        one = driver.complete([spec], results, place, listeners, again=False, fail_fast=False)
        outcome.failed.update(one.failed)
        seconds[spec.method] = contest.clock.used - start
        contest.note_time()
    return outcome


def _unlucky(contest: Contest, judged: Mapping[str, Judged]) -> list[str]:
    """Cheaper methods than the best that were stopped, though their judgement was not distinguishable, cheapest first.

    A method is compared with the one that was best on the rung where it was stopped.
    """
    found: dict[str, int] = {}
    for method, trial in halving.leading(contest.own).items():
        rung = halving.judged_at(contest.own, halving.last_unit(trial))
        equal = choice.difference(rung[choice.best(rung)], rung[method])[0] <= 0
        if method not in judged and equal and rung[method].params < judged[choice.best(judged)].params:
            found[method] = rung[method].params
    return sorted(found, key=lambda method: found[method])


def _repeats(contest: Contest, finalists: list[str], on_trial: OnTrial) -> int:
    """Judge finalists with fresh seeds and folds. Returns how many times all of them were judged."""
    plan, clock, needed = contest.plan, contest.clock, 0.0
    until = clock.budget - plan.test_seconds
    for number in range(1, MOST_REPEATS + 1):
        start = clock.used
        if start + needed > until:
            return number - 1
        for method in finalists:
            if _repeat(contest, method, number):
                continue
            spec, begun = replace(_chosen(contest, method), seed=number), clock.used
            try:
                parts = contest.judge(spec, plan.epochs, range(plan.folds), until)
            except OutOfTime:
                return number - 1
            found = together(parts, spec)
            seconds = {"seconds": clock.used - begun}
            contest.own.set_user_attr(_named(method, number), asdict(found) | seconds)
            contest.note_time()
            on_trial(method, f"{100 * found.mean:.1f} % on validation with seed {number}")
        needed = clock.used - start
    return MOST_REPEATS


def _repeat(contest: Contest, method: str, number: int) -> Judged | None:
    found = contest.own.user_attrs.get(_named(method, number))
    return Judged.from_json(found) if found else None


def _named(method: str, number: int) -> str:
    return f"{method}, seed {number}"


def _chosen(contest: Contest, method: str) -> Spec:
    """The run of a method with the best setting of the search."""
    trial, search = halving.leading(contest.own)[method], contest.searches[method]
    return replace(search.base, config=methods.config(method, trial.user_attrs["config"]))


def _final(contest: Contest, method: str, seed: int) -> Spec:
    own, search, spec = contest.own, contest.searches[method], _chosen(contest, method)
    trials = [t for t in own.get_trials(deepcopy=False, states=FINISHED) if t.user_attrs["method"] == method]
    tuning = {
        "study": own.study_name,
        "trials": len(trials),
        "split": "val" if contest.plan.folds == 1 else f"{contest.plan.folds} folds",
        "val_accuracy": halving.value(halving.leading(own)[method]),
        "fixed": list(search.fixed),
        "search_seed": search.base.seed,
    }
    return replace(spec, recipe=lasting(spec.recipe, contest.plan.epochs), seed=seed, tuning=tuning)


def _expected(contest: Contest, method: str) -> float:
    """How long a run should take. A judgement on folds trains on fewer samples, but once per fold."""
    again = contest.own.user_attrs.get(_named(method, 1)) or halving.leading(contest.own)[method].user_attrs
    seconds = float(again["seconds"])
    return 1.2 * seconds / max(1, contest.plan.folds - 1)
