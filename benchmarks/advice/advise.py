"""From the methods to compare to a recommendation: plan, search, decide, and only then test."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import optuna
import torch
from filelock import FileLock, Timeout

from benchmarks import suites
from benchmarks.advice import costs, finals, halving, plan, report
from benchmarks.advice.budget import Clock
from benchmarks.advice.costs import Sizes
from benchmarks.advice.display import Display
from benchmarks.advice.folds import folds
from benchmarks.advice.halving import Contest
from benchmarks.advice.plan import Plan
from benchmarks.executors.place import Listeners
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.tuning.databases import StudyDatabase, file_url, make_file
from benchmarks.tuning.space import Search
from methods.errors import UserError

MEASURING = 0.1  # of the budget, at most, to find out what methods cost
DATABASE, LOCK, PLAN = "recommend.db", "recommend.lock", "plan"


def advise(
    searches: Sequence[Search], device: torch.device, results: Path, *, budget: int, used: float, seeds: tuple[int, ...]
) -> int:
    """Compare methods on one task within ``budget`` seconds, and show which to take. Returns 1 if a method failed.

    ``used`` seconds of the budget are used already.

    The study, all records and the recommendation are below ``results``. An interrupted execution is continued.

    Raises:
        UserError: there is too little time, another process is at it, or no method could be judged.
    """
    base = searches[0].base
    make_file(results / DATABASE)
    database = StudyDatabase(url=file_url(results / DATABASE))
    with _alone(results), database.watched():
        own = halving.study(database.storage, _name(searches, budget, seeds))
        clock = Clock(budget, own.user_attrs.get(halving.USED, used))
        display = Display(clock)
        with display.shown():
            suites.decode([(base.suite, base.task, base.seed, base.backbone.frame)], tests=False)
            contest = Contest(
                own=own,
                searches={search.base.method: search for search in searches},
                plan=_plan(own, searches, device, clock, len(seeds), display),
                device=device,
                clock=clock,
                on_epoch=display.epoch,
            )
            halving.search(contest, display.step)
            decision = finals.decide(contest, display.step)
            specs = finals.runs(contest, decision, seeds)
            listeners = Listeners(
                on_epoch=lambda spec, epoch: display.epoch(spec.method, epoch),
                on_end=lambda spec: display.step(spec.method, f"trained and tested with seed {spec.seed}"),
            )
            outcome = finals.execute(contest, specs, results, listeners)
    done = [spec for spec in specs if store.finished(results, spec)]
    return report.show(contest, decision, done, {**halving.failures(own), **_by_method(outcome.failed)}, results)


def _by_method(failed: dict[Spec, str]) -> dict[str, str]:
    return {str(spec): reason for spec, reason in failed.items()}


@contextmanager
def _alone(results: Path) -> Iterator[None]:
    """Refuse a second process in the same folder, which would take away this one's time."""
    try:
        with FileLock(results / LOCK, timeout=0):
            yield
    except Timeout:
        raise UserError(f"another recommend is running in {results}; wait for it, or give other --results") from None


def _name(searches: Sequence[Search], budget: int, seeds: tuple[int, ...]) -> str:
    """The study's name: suite, task, and a digest of what is compared and how long."""
    base = searches[0].base
    asked = [[s.base.key, s.base.method_digest, s.fixed] for s in searches], budget, seeds
    return f"recommend/{base.suite}/{base.task}/{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:8]}"


def _plan(
    own: optuna.Study, searches: Sequence[Search], device: torch.device, clock: Clock, seeds: int, display: Display
) -> Plan:
    """The plan of an earlier execution, or a new one from what methods cost on this machine."""
    if PLAN not in own.user_attrs:
        base = searches[0].base
        task = suites.get(base.suite).tasks[base.task]
        sizes = Sizes(known=task.train + task.val, val=task.val, test=task.test, folds=folds(task))
        used = clock.used
        costs.measured(base, device)  # the first steps of a process are slower
        found: dict[str, costs.Cost] = {}
        for search in searches:
            if clock.used > used + MEASURING * clock.budget:  # the others are taken for as slow as the slowest one
                found[search.base.method] = max(found.values(), key=lambda cost: cost.train)
                continue
            found[search.base.method] = cost = costs.measured(search.base, device)
            display.step(search.base.method, f"{1000 * cost.train:.0f} ms per training sample")
        made = plan.make(found, sizes, budget=clock.budget, used=clock.used, longest=base.recipe.epochs, seeds=seeds)
        own.set_user_attr(PLAN, made.to_json())
    return Plan.from_json(own.user_attrs[PLAN])
