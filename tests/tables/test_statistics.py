"""Every statistic against an independent calculation: tabulated values, plain loops, exact enumeration, scipy."""

import itertools
import math
import random
import statistics as plain

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from benchmarks.tables import statistics


def whole(values: dict[str, list[list[float]]], seeds: dict[str, list[int]] | None = None) -> pd.DataFrame:
    """Make a frame of whole seeds from name -> (seed, task)."""
    frames = []
    for row, by_seed in values.items():
        own = (seeds or {}).get(row, list(range(len(by_seed))))
        index = pd.MultiIndex.from_product([[row], own], names=["row", "spec.seed"])
        frames.append(pd.DataFrame(by_seed, index=index, columns=[f"t{i}" for i in range(len(by_seed[0]))]))
    return pd.concat(frames).sort_index()


@pytest.mark.parametrize(("seeds", "t"), [(2, 12.706), (3, 4.303), (5, 2.776), (10, 2.262)])
def test_the_interval_of_a_mean_equals_that_of_tabulated_t(seeds, t):
    values = [random.Random(i).gauss(50, 3) for i in range(seeds)]
    low, high = statistics.intervals(np.array([values]))
    half = t * plain.stdev(values) / math.sqrt(seeds)
    assert low[0] == pytest.approx(plain.mean(values) - half, rel=1e-4)
    assert high[0] == pytest.approx(plain.mean(values) + half, rel=1e-4)


def test_an_interval_counts_the_seeds_of_its_row_and_needs_two():
    low, high = statistics.intervals(np.array([[1.0, 2.0, 4.0], [1.0, 2.0, np.nan], [3.0, np.nan, np.nan], [5, 5, 5]]))
    assert high[1] - low[1] == pytest.approx(2 * 12.7062 * plain.stdev([1, 2]) / math.sqrt(2), rel=1e-4)
    assert math.isnan(low[2]) and math.isnan(high[2])
    assert low[3] == high[3] == 5


def test_equal_values_share_the_mean_of_their_ranks():
    blocks = pd.DataFrame({"a": [90.0, 80.0, 70.0], "b": [90.0, 85.0, 60.0], "c": [50.0, 85.0, 65.0]})
    # a: 1.5, 3, 1; b: 1.5, 1.5, 3; c: 3, 1.5, 2
    assert dict(statistics.mean_ranks(blocks)) == pytest.approx({"a": 5.5 / 3, "b": 2.0, "c": 6.5 / 3})
    by_scipy = stats.rankdata(-blocks.to_numpy(), axis=1).mean(axis=0)
    assert list(statistics.mean_ranks(blocks)) == pytest.approx(list(by_scipy))


# Demsar 2006, table 5a
@pytest.mark.parametrize(
    ("rows", "q"), list(enumerate([1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164], start=2))
)
def test_the_critical_difference_equals_that_of_demsars_table(rows, q):
    for tasks in (5, 19):
        expected = q * math.sqrt(rows * (rows + 1) / (6 * tasks))
        assert statistics.critical_difference(rows, tasks) == pytest.approx(expected, rel=5e-4)


def test_the_p_of_friedmans_test_equals_its_formula():
    blocks = pd.DataFrame(np.random.default_rng(0).normal([0, 0.5, 1, 1.5], size=(8, 4)))
    ranks = statistics.mean_ranks(blocks)
    chi = 12 * 8 / (4 * 5) * (sum(rank**2 for rank in ranks) - 4 * 5**2 / 4)
    assert statistics.friedman(blocks) == pytest.approx(float(stats.chi2.sf(chi, 3)))


def test_cliques_are_the_largest_sets_within_the_critical_difference():
    for seed in range(20):
        ranks = pd.Series(sorted(random.Random(seed).uniform(1, 9) for _ in range(8)))
        pairs = [(i, j) for i, j in itertools.combinations(range(8), 2) if ranks[j] - ranks[i] <= 2.0]
        largest = [p for p in pairs if not any(q != p and q[0] <= p[0] and p[1] <= q[1] for q in pairs)]
        assert statistics.cliques(ranks, 2.0) == sorted(largest)


def test_the_bootstrap_has_the_distribution_of_all_possible_draws():
    gaps = pd.DataFrame([[1.0, 3.0], [-4.0, 2.0]])  # (task, seed)
    means = []
    for tasks in itertools.product(range(2), repeat=2):
        for seeds in itertools.product(itertools.product(range(2), repeat=2), repeat=2):
            means.append(plain.mean(gaps.loc[t, s] for t, own in zip(tasks, seeds, strict=True) for s in own))
    drawn = statistics.resampling(np.ones((2, 2), bool), 100_000) @ gaps.to_numpy().ravel()
    for value in set(means):
        assert np.isclose(drawn, value).mean() == pytest.approx(means.count(value) / len(means), abs=0.006)
    found = statistics.compare(gaps)
    assert found.resamples_better == pytest.approx(np.mean([(np.sign(m) + 1) / 2 for m in means]), abs=0.01)


def test_the_bootstrap_equals_a_loop_when_tasks_differ_in_seeds():
    gaps = {0: [1.0, 2.5, 0.5], 1: [-1.0, 0.4], 2: [3.0, -0.5, 1.5, 0.2]}
    frame = pd.DataFrame({task: pd.Series(values) for task, values in gaps.items()}).T
    dice, means = random.Random(0), []
    for _ in range(5000):
        tasks = dice.choices(list(gaps), k=3)
        means.append(plain.mean(plain.mean(dice.choices(gaps[task], k=len(gaps[task]))) for task in tasks))
    found = statistics.compare(frame)
    assert found.difference == pytest.approx(plain.mean(plain.mean(values) for values in gaps.values()))
    assert found.over_tasks_and_seeds == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=0.1)
    assert found.resamples_better == pytest.approx(plain.mean(mean > 0 for mean in means), abs=0.02)


def test_the_bootstrap_of_a_large_sample_equals_the_t_interval_and_scipys():
    values = np.random.default_rng(1).normal(0.3, 2, size=(1, 500))  # one task
    found = statistics.compare(pd.DataFrame(values))
    low, high = stats.t.interval(0.95, 499, loc=values.mean(), scale=stats.sem(values[0]))
    assert found.over_tasks_and_seeds == pytest.approx((low, high), abs=0.02)
    other = stats.bootstrap((values[0],), np.mean, n_resamples=5000, method="percentile", rng=0).confidence_interval
    assert found.over_tasks_and_seeds == pytest.approx((other.low, other.high), abs=0.02)


def test_the_interval_over_seeds_is_students_for_one_task_and_welchs_for_two():
    a, b = [0.4, 1.9, 1.1], [-2.0, 3.5, 0.6]
    one = statistics.over_seeds(np.array([a]).T[None])
    expected = stats.ttest_1samp(a, 0).confidence_interval(0.95)
    assert (one[0][0], one[1][0]) == pytest.approx((expected.low, expected.high))
    two = statistics.over_seeds(np.array([a, b]).T[None])  # the mean (a + b) / 2 is half of a - (-b)
    expected = stats.ttest_ind(a, [-x for x in b], equal_var=False).confidence_interval(0.95)
    assert (two[0][0], two[1][0]) == pytest.approx((expected.low / 2, expected.high / 2))


def test_wins_and_superiority_are_counted_over_task_and_seed():
    gaps = pd.DataFrame([[1.0, 0.0, -1.0], [2.0, 3.0, 0.0]])
    found = statistics.compare(gaps)
    assert (found.wins, found.ties, found.losses) == (3, 2, 1)
    counted = [1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps.to_numpy().ravel()]
    assert found.superiority == pytest.approx(plain.mean(counted))
    low, high = found.superiority_interval
    assert 0 <= low < found.superiority < high <= 1


def test_with_one_seed_there_is_no_interval_and_no_tie():
    found = statistics.compare(pd.DataFrame([[1.0], [-1.0], [0.5]]))
    assert found.difference == pytest.approx(0.5 / 3)
    ends = (*found.over_tasks_and_seeds, *found.over_seeds, *found.superiority_interval, found.resamples_better)
    assert all(math.isnan(end) for end in ends)
    assert not found.tied


def test_against_best_agrees_with_the_comparison_of_two_rows():
    generator = np.random.default_rng(2)
    values = {f"m{i:02d}": (generator.normal(60 - i / 3, 1.5, size=(3, 5))).tolist() for i in range(12)}
    frame = whole(values)
    found = statistics.against_best(frame)
    best = max(values, key=lambda row: np.mean(values[row]))
    assert found[best] == "best"
    for row in set(values) - {best}:
        pair = statistics.compare((frame.loc[best] - frame.loc[row]).T, statistics.RESAMPLES)
        assert found[row] == ("tied" if pair.tied else "below")
    assert set(found) == {"best", "tied", "below"}


def test_only_common_seeds_are_compared_and_two_are_needed():
    values = {"b": [[1.0, 1.0], [1.1, 1.0]], "c": [[9.1, 8.9]], "d": [[8.0, 8.0]] * 2}
    frame = whole({"a": [[9.0, 9.0], [9.1, 9.0], [9.0, 9.2]], **values}, {"b": [1, 2], "d": [2, 7]})
    assert dict(statistics.against_best(frame)) == {"a": "best", "b": "below", "c": "-", "d": "-"}


def test_a_row_equal_to_the_best_is_tied():
    equal = [[50.0, 60.0], [51.0, 61.0]]
    assert dict(statistics.against_best(whole({"a": equal, "b": equal}))) == {"a": "best", "b": "tied"}


def wins_of_equals(tasks: int, seeds: int, between: float) -> tuple[float, float, float]:
    """Return how often the bootstrap, t, and both together find a winner between two equal methods."""
    generator = np.random.default_rng(0)
    gaps = generator.normal(size=(2000, seeds, tasks)) + between * generator.normal(size=(2000, 1, tasks))
    weights = statistics.resampling(np.ones((tasks, seeds), bool), 2000)
    means = weights @ gaps.transpose(2, 1, 0).reshape(tasks * seeds, -1)
    ends = (np.quantile(means, statistics.TAILS, axis=0), statistics.over_seeds(gaps))
    drawn, measured = ((low > 0) | (high < 0) for low, high in ends)
    return float(drawn.mean()), float(measured.mean()), float((drawn & measured).mean())


def test_winners_between_equal_methods_are_as_rare_as_the_results_readme_says():
    assert wins_of_equals(tasks=1, seeds=3, between=0)[::2] == pytest.approx((0.24, 0.05), abs=0.015)
    assert wins_of_equals(tasks=2, seeds=3, between=0)[::2] == pytest.approx((0.11, 0.03), abs=0.015)
    assert wins_of_equals(tasks=5, seeds=3, between=1)[1:] == pytest.approx((0.25, 0.10), abs=0.015)
    assert wins_of_equals(tasks=19, seeds=3, between=1)[2] == pytest.approx(0.05, abs=0.015)
