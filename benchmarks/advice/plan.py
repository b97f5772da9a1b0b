"""How a budget is spent: how long each training lasts, how many settings each method gets, and how many finalists."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

from benchmarks.advice.costs import Cost, Sizes
from benchmarks.cli import duration, warn
from methods.errors import UserError

FACTOR = 3  # of successive halving: one of so many settings goes on to the next rung
PROMOTED = (1.0, 0.5, 0.3)  # the share of settings that reach each rung; the first ones face few competitors
LONG, SHORT, SHORTEST = 9, 5, 3  # epochs: enough, the least of an early rung on folds, the least of all
PLANNED = 0.85  # of the budget; the rest is for what measurements on a few samples miss
# settings per method, finalists, seeds of each, and further judgements: the first plan that leaves LONG epochs is taken
AMBITIONS = ((2, 4, 3, 1), (1, 4, 3, 1), (1, 4, 1, 1), (1, 3, 1, 0), (1, 2, 1, 0), (1, 1, 1, 0))

Rung = tuple[int, int]  # epochs of a training, and trainings, which is the number of folds


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the budget is spent on.

    ``rounds`` counts the settings that each method gets at least, in as many trainings as ``rungs`` say. Then
    ``finalists`` methods are judged again, from ``search_until`` seconds on, unless ``repeats`` is 0. They are tested
    with ``seeds`` seeds, for which ``test_seconds`` are set aside.
    """

    methods: tuple[str, ...]
    rungs: tuple[Rung, ...]
    rounds: int
    finalists: int
    seeds: int
    repeats: int
    search_until: float
    test_seconds: float

    @property
    def epochs(self) -> int:
        """The epochs of the longest trainings."""
        return self.rungs[-1][0]

    @property
    def folds(self) -> int:
        """The trainings of one judgement."""
        return self.rungs[-1][1]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        rungs = tuple((epochs, folds) for epochs, folds in values["rungs"])
        return cls(**{**values, "methods": tuple(values["methods"]), "rungs": rungs})


def rungs(epochs: int, folds: int) -> tuple[Rung, ...]:
    """The rungs of successive halving: shorter trainings or a single fold first, the whole judgement last."""
    if folds == 1:
        ladder = [(epochs // FACTOR**2, 1), (epochs // FACTOR, 1), (epochs, 1)]
        return tuple(rung for rung in ladder if rung[0] > 0)
    shorter = ((epochs // FACTOR, 1),) if epochs // FACTOR >= SHORT else ()
    return *shorter, (epochs, 1), (epochs, folds)


def make(costs: Mapping[str, Cost], sizes: Sizes, *, budget: float, used: float, longest: int, seeds: int) -> Plan:
    """Plan for a budget of seconds, of which ``used`` are used. No training has more than ``longest`` epochs.

    If not all methods can be compared in this time, the slowest are left out, with a warning.

    Raises:
        UserError: there is no time to compare two methods.
    """
    left = dict(costs)
    while len(left) > 1:
        for found, seconds in _plans(left, sizes, longest, seeds):
            if seconds <= PLANNED * budget - used:
                if without := [name for name in costs if name not in left]:
                    warn(f"left out, because the budget is too short for all methods: {', '.join(without)}")
                return _timed(found, left, sizes, budget)
        del left[max(left, key=lambda name: left[name].judging(sizes, SHORTEST, 1))]
    two = dict(sorted(costs.items(), key=lambda item: item[1].judging(sizes, SHORTEST, 1))[:2])
    *_, (_, least) = _plans(two, sizes, min(SHORTEST, longest), seeds)
    needed = duration((least + used) / PLANNED)
    raise UserError(f"--budget {duration(budget)} is too short: two methods take {needed}; give a larger one")


def _plans(costs: Mapping[str, Cost], sizes: Sizes, longest: int, seeds: int) -> Iterator[tuple[Plan, float]]:
    """Plans from the most to the least ambitious, and their seconds; of each ambition the longest trainings first."""
    for ambition in AMBITIONS:
        for epochs in range(longest, min(LONG, longest) - 1, -1):
            yield _costing(costs, sizes, epochs, ambition, seeds)
    for epochs in range(min(LONG, longest) - 1, min(SHORTEST, longest) - 1, -1):
        yield _costing(costs, sizes, epochs, AMBITIONS[-1], seeds)


def _costing(
    costs: Mapping[str, Cost], sizes: Sizes, epochs: int, ambition: tuple[int, int, int, int], seeds: int
) -> tuple[Plan, float]:
    rounds, finalists, runs, repeats = ambition
    found = Plan(
        methods=tuple(costs),
        rungs=rungs(epochs, sizes.folds),
        rounds=rounds,
        finalists=min(finalists, len(costs)),
        seeds=min(runs, seeds),
        repeats=repeats,
        search_until=0.0,
        test_seconds=0.0,
    )
    search = rounds * sum(_search_seconds(cost, sizes, found.rungs) for cost in costs.values())
    return found, search + _final_seconds(found, costs, sizes) + _test_seconds(found, costs, sizes)


def _timed(plan: Plan, costs: Mapping[str, Cost], sizes: Sizes, budget: float) -> Plan:
    """The plan with its times: what the finals are not expected to need is for the search."""
    test = _test_seconds(plan, costs, sizes) / PLANNED
    return replace(plan, search_until=budget - test - _final_seconds(plan, costs, sizes) / PLANNED, test_seconds=test)


def _search_seconds(cost: Cost, sizes: Sizes, ladder: tuple[Rung, ...]) -> float:
    """The seconds of one setting, whose folds of an earlier rung are not trained again."""
    steps = pairwise(((0, 0), *ladder))
    new = [(epochs, folds - (before[1] if before[0] == epochs else 0)) for before, (epochs, folds) in steps]
    judging = [cost.judging(sizes, epochs, folds) for epochs, folds in new]
    return sum(share * seconds for share, seconds in zip(PROMOTED, judging, strict=False))


def _final_seconds(plan: Plan, costs: Mapping[str, Cost], sizes: Sizes) -> float:
    times = [cost.judging(sizes, plan.epochs, plan.folds) for cost in costs.values()]
    return plan.repeats * plan.finalists * sum(times) / len(times)


def _test_seconds(plan: Plan, costs: Mapping[str, Cost], sizes: Sizes) -> float:
    times = [cost.run(sizes, plan.epochs) for cost in costs.values()]
    return plan.finalists * plan.seeds * sum(times) / len(times)
