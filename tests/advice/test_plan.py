"""How a budget is written, and how it is spent on epochs, settings, finalists and seeds."""

import pytest

from benchmarks.advice import budget, plan
from benchmarks.advice.costs import Cost, Sizes
from methods.errors import UserError

SMALL = Sizes(known=96, val=10, test=24, folds=3)
LARGE = Sizes(known=1000, val=200, test=1000, folds=1)


def cost(train: float = 0.05, *, more: float = 1.0) -> Cost:
    return Cost(build=0.5, train=train, look=train / 3, first=1.0, more=more)


def made(seconds: float, sizes: Sizes = SMALL, **costs: Cost) -> plan.Plan:
    some = costs or {"linear": cost(more=0.0), "lora": cost(), "full": cost(0.08)}
    return plan.make(some, sizes, budget=seconds, used=5, longest=100, seeds=3)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400)])
def test_a_budget_has_units(text, seconds):
    assert budget.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "30 m", "1.5h", "-5m", "2s", "99999h"])
def test_another_budget_is_refused(text):
    with pytest.raises(UserError, match="--budget"):
        budget.seconds(text)


@pytest.mark.parametrize(
    ("epochs", "folds", "expected"),
    [
        (3, 3, ((3, 1), (3, 3))),
        (30, 3, ((10, 1), (30, 1), (30, 3))),
        (9, 1, ((1, 1), (3, 1), (9, 1))),
        (100, 1, ((11, 1), (33, 1), (100, 1))),
    ],
)
def test_rungs_are_shorter_trainings_or_fewer_folds(epochs, folds, expected):
    assert plan.rungs(epochs, folds) == expected


def test_a_fold_is_not_trained_twice_at_one_length():
    whole = plan._search_seconds(cost(), SMALL, ((9, 1), (9, 3)))
    assert whole == pytest.approx(cost().judging(SMALL, 9, 1) + plan.PROMOTED[1] * cost().judging(SMALL, 9, 2))


@pytest.mark.parametrize(("sizes", "times"), [(SMALL, 1), (LARGE, 5)])
def test_more_time_gives_longer_trainings_and_more_settings(sizes, times):
    plans = [made(times * seconds, sizes) for seconds in (600, 2000, 20_000, 200_000)]
    work = [p.epochs * p.rounds * p.finalists * p.seeds for p in plans]
    assert work == sorted(work)
    assert plans[-1].epochs == 100 and plans[-1].rounds == 2 and plans[-1].seeds == 3
    assert all(p.methods == ("linear", "lora", "full") for p in plans)


@pytest.mark.parametrize("seconds", [250, 600, 2000, 20_000])
def test_a_plan_leaves_time_for_the_finals_and_the_test(seconds):
    found = made(seconds)
    assert 0 < found.search_until <= seconds - found.test_seconds


def test_too_little_time_leaves_out_the_slowest_method_with_a_warning(capsys):
    assert made(80).methods == ("linear", "lora")
    assert "left out, because the budget is too short for all methods: full" in capsys.readouterr().err


def test_too_little_time_for_two_methods_is_refused():
    with pytest.raises(UserError, match="--budget 20 s is too short: two methods take 55 s"):
        made(20)


def test_a_plan_survives_json():
    found = made(600)
    assert plan.Plan.from_json(found.to_json()) == found
