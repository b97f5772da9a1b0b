"""The rule of choice: the cheapest method that is not distinguishable from the best, and who comes to the finals."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.advice import choice
from benchmarks.advice.judging import Judged


def judged(params: int, right: int, wrong: int = 0, n: int = 100) -> Judged:
    """Of ``n`` samples, the first ``wrong`` are wrong and then ``right`` are right."""
    samples = [0.0] * wrong + [1.0] * right
    return Judged(samples=tuple(samples + [0.0] * (n - len(samples))), params=params)


def test_the_interval_of_a_difference_is_that_of_agresti_and_min():
    low, high = choice.difference(judged(0, 90), judged(0, 80, wrong=3))
    only_first, only_second, n = 3 + 7, 0, 100  # samples that one of the two alone is right about
    b, c, more = only_first + 0.5, only_second + 0.5, n + 2
    error = np.sqrt((b + c - (b - c) ** 2 / more) / (more * (more - 1)))
    half = stats.t.ppf(0.975, more - 1) * error
    assert (low, high) == pytest.approx((100 * ((b - c) / more - half), 100 * ((b - c) / more + half)))


@pytest.mark.parametrize(("missed", "equal"), [(0, True), (4, True), (6, False)])
def test_a_few_samples_alone_show_no_difference(missed, equal):
    both = {"dear": judged(1000, 95), "cheap": judged(10, 95 - missed)}
    assert choice.tied(both) == (["cheap", "dear"] if equal else ["dear"])


def test_the_cheapest_of_those_tied_with_the_best_comes_first():
    some = {"full": judged(9000, 95), "lora": judged(90, 93), "bitfit": judged(30, 94), "linear": judged(0, 60)}
    assert choice.best(some) == "full"
    assert choice.tied(some) == ["bitfit", "lora", "full"]


def test_of_equal_methods_the_cheaper_one_is_the_best():
    assert choice.best({"full": judged(9000, 95), "lora": judged(90, 95)}) == "lora"


def test_finalists_are_the_best_then_tied_then_stopped_then_the_next_best():
    some = {"full": judged(9000, 95), "lora": judged(90, 93), "ssf": judged(40, 70), "linear": judged(0, 60)}
    assert choice.finalists(some, ["bitfit"], 4) == ["full", "lora", "bitfit", "ssf"]
    assert choice.finalists(some, ["bitfit"], 2) == ["full", "lora"]


def test_several_judgements_are_averaged_sample_by_sample():
    pooled = choice.pooled([judged(7, 1, n=3), judged(7, 2, n=3)])
    assert pooled == Judged(samples=(1.0, 0.5, 0.0), params=7)


def test_a_method_that_is_always_right_has_an_interval_too():
    assert 1 < choice.half_interval(judged(0, 100)) < 4
