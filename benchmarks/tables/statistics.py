"""Statistics of tables: intervals over seeds, ranks and their critical difference, paired comparisons of two rows.

Accuracies are in percent. A frame of whole seeds is (row and seed, task) without NaN. Differences are (task, seed).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.special import stdtrit

Floats = NDArray[np.float64]
LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
RESAMPLES = 2000  # per row of a table
MANY_RESAMPLES = 20_000  # for a comparison of only two rows
_studentized_range = cache(stats.studentized_range.ppf)  # takes 0.1 s
SEED = 0  # fixed, so that equal records give equal intervals
FEWEST_SEEDS = 2  # the fewest seeds that have a deviation, and so an interval


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A comparison of a first row with a second one.

    Attributes:
        difference: the mean over tasks of the means over seeds, in percentage points.
        over_tasks_and_seeds: the 95 % interval of the difference by the paired bootstrap.
        over_seeds: the 95 % interval of the difference by Student's t, for exactly these tasks.
        resamples_better: the share of resamples whose difference is above zero; a tie counts half.
        superiority: the probability that the first row is above the second on one (task, seed); a tie counts half.
        superiority_interval: the 95 % interval of ``superiority`` by the paired bootstrap.
        wins, ties, losses: the number of (task, seed) pairs with each outcome.

    If a task has fewer than two seeds, all intervals and ``resamples_better`` are NaN.
    """

    difference: float
    over_tasks_and_seeds: tuple[float, float]
    over_seeds: tuple[float, float]
    resamples_better: float
    superiority: float
    superiority_interval: tuple[float, float]
    wins: int
    ties: int
    losses: int

    @property
    def tied(self) -> bool:
        """Whether at least one of the two intervals of the difference includes zero.

        Each interval alone is too narrow in some cases: the bootstrap's with one or two tasks and three seeds, and
        Student's t when methods differ by task as well as by seed.
        """
        return any(low <= 0 <= high for low, high in (self.over_tasks_and_seeds, self.over_seeds))


def intervals(samples: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of each row's mean by Student's t.

    ``samples`` is (rows, seeds), with NaN for a missing seed. The ends are NaN if a row has fewer than two seeds.
    """
    rows = pd.DataFrame(samples)
    mean = rows.mean(axis=1).to_numpy()
    half = half_width(rows.sem(axis=1).to_numpy(), rows.count(axis=1).to_numpy() - 1)
    return mean - half, mean + half


def half_width(error: NDArray[Any], freedom: NDArray[Any]) -> Floats:
    """Return half the 95 % interval of a mean by Student's t; NaN without a degree of freedom.

    ``error`` is the standard error of the mean.
    """
    half: Floats = stdtrit(np.where(freedom > 0, freedom, math.nan), TAILS[1]) * error
    return np.where(error == 0, 0.0, half)


def mean_ranks(blocks: pd.DataFrame) -> pd.Series[float]:
    """Return the mean rank of each column of ``blocks`` (task and seed, row).

    Rank 1 is the highest value. Equal values share the mean of their ranks.
    """
    return blocks.rank(axis=1, ascending=False, method="average").mean()


def critical_difference(rows: int, tasks: int) -> float:
    """Return the critical difference of mean ranks at the 5 % level, for all pairs of ``rows`` rows.

    The test is Nemenyi's (1963), as in Demsar 2006. ``tasks`` is the number of independent blocks. Seeds are repeats of
    a task and no further blocks.
    """
    quantile = _studentized_range(LEVEL, rows, np.inf)
    return float(quantile / math.sqrt(2) * math.sqrt(rows * (rows + 1) / (6 * tasks)))


def friedman(blocks: pd.DataFrame) -> float:
    """Return the p-value of Friedman's test that all columns of ``blocks`` (task, row), at least three, rank alike."""
    return float(stats.friedmanchisquare(*blocks.to_numpy().T).pvalue)


def rank_correlation(one: pd.Series[float], other: pd.Series[float]) -> tuple[float, float, float]:
    """Return Spearman's rank correlation of two numbers per method, and the ends of its 95 % interval.

    The interval is by percentile bootstrap over methods. Resamples in which all methods rank alike are left out.
    """
    drawn = np.random.default_rng(SEED).integers(len(one), size=(MANY_RESAMPLES, len(one)))
    ranks = [stats.rankdata(values.to_numpy()[drawn], axis=1) for values in (one, other)]
    left, right = (each - each.mean(axis=1, keepdims=True) for each in ranks)
    with np.errstate(invalid="ignore"):
        found = (left * right).sum(axis=1) / np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    low, high = np.nanquantile(found, TAILS)
    return float(stats.spearmanr(one, other).statistic), float(low), float(high)


def cliques(ranks: pd.Series[float], critical: float) -> list[tuple[int, int]]:
    """Return the largest groups of rows whose ``ranks`` differ by at most the critical difference.

    ``ranks`` is ascending. A group is given by the positions of its first and last row.
    """
    values = ranks.to_numpy()
    found: list[tuple[int, int]] = []
    for first in range(len(values)):
        last = int(np.searchsorted(values, values[first] + critical, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def resampling(present: NDArray[np.bool_], resamples: int, seed: int = SEED) -> Floats:
    """Return the weights (resamples, tasks x seeds) of a two-stage bootstrap.

    A resample draws tasks, then seeds within each drawn task. Each row of weights sums to 1, so ``weights @ values``
    is, per resample, the mean over tasks of the means over seeds. ``present`` (tasks, seeds) needs at least one seed
    per task. scipy's bootstrap cannot be used, because it draws at one level only.
    """
    tasks, seeds = present.shape
    counts = present.sum(axis=1)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(tasks, np.full(tasks, 1 / tasks), size=resamples)  # (resamples, tasks)
    # each time that a task is drawn, as many seeds are drawn as it has
    draws = generator.multinomial(drawn * counts, present / counts[:, None])  # (resamples, tasks, seeds)
    weights: Floats = (draws / counts[:, None] / tasks).reshape(resamples, tasks * seeds)
    return weights


def over_seeds(gaps: Floats) -> tuple[Floats, Floats]:
    """Return the ends of the 95 % interval of each row's mean over exactly these tasks, by Student's t over seeds.

    ``gaps`` is (rows, seeds, tasks), with NaN for a missing run. Each task has its own variance over seeds, and the
    degrees of freedom are Welch's (Welch 1947, "The generalization of Student's problem"). scipy has them for two
    samples only. The ends are NaN if a task has fewer than two seeds.
    """
    counts = (~np.isnan(gaps)).sum(axis=1)  # (rows, tasks)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns about a task with a single seed
        variances = np.nanvar(gaps, axis=1, ddof=1) / counts
        freedom = variances.sum(axis=1) ** 2 / (variances**2 / (counts - 1)).sum(axis=1)
    mean = np.nanmean(gaps, axis=1).mean(axis=1)
    half = half_width(np.sqrt(variances.sum(axis=1)) / gaps.shape[2], freedom)
    return mean - half, mean + half


def compare(differences: pd.DataFrame, resamples: int = MANY_RESAMPLES) -> Comparison:
    """Compare two rows by their ``differences`` (task, seed), which are NaN where either row has no run."""
    gaps = differences.dropna(how="all").dropna(how="all", axis=1).to_numpy(dtype=float)
    present = ~np.isnan(gaps)
    weights = resampling(present, resamples)
    means = weights @ np.nan_to_num(gaps).ravel()
    better = (np.sign(gaps) + 1) / 2  # 1 for a win, 0.5 for a tie
    enough = bool((present.sum(axis=1) >= FEWEST_SEEDS).all())
    low, high = over_seeds(gaps.T[None])
    return Comparison(
        difference=float(np.nanmean(gaps, axis=1).mean()),
        over_tasks_and_seeds=_ends(means, enough),
        over_seeds=(float(low[0]), float(high[0])),
        resamples_better=float(((np.sign(means) + 1) / 2).mean()) if enough else math.nan,
        superiority=float(np.nanmean(better, axis=1).mean()),
        superiority_interval=_ends(weights @ np.nan_to_num(better).ravel(), enough),
        wins=int((gaps > 0).sum()),
        ties=int((gaps == 0).sum()),
        losses=int((gaps < 0).sum()),
    )


def _ends(values: Floats, enough: bool) -> tuple[float, float]:
    low, high = np.quantile(values, TAILS) if enough else (math.nan, math.nan)
    return float(low), float(high)


def against_best(whole: pd.DataFrame, resamples: int = RESAMPLES) -> pd.Series[str]:
    """Compare each row of ``whole`` with the row that has the highest mean.

    Returns "best", "tied" (see ``Comparison.tied``) or "below" per row, or "-" if the row has fewer than two seeds in
    common with the best row.
    """
    rows = whole.index.get_level_values(0)
    best = str(whole.mean(axis=1).groupby(rows).mean().idxmax())
    verdicts = pd.Series("-", index=pd.Index(rows.unique(), name="row"))
    own = set(whole.loc[best].index)
    common_to: dict[tuple[int, ...], list[str]] = {}
    for row, index in rows.to_series().groupby(rows).indices.items():
        seeds = whole.index.get_level_values(1)[index]
        common_to.setdefault(tuple(sorted(own.intersection(seeds))), []).append(str(row))
    for common, members in common_to.items():
        if len(common) < FEWEST_SEEDS:
            continue
        others = whole.loc[pd.MultiIndex.from_product([members, common])].to_numpy()
        gaps = whole.loc[best].loc[list(common)].to_numpy() - others.reshape(len(members), len(common), -1)
        verdicts[members] = np.where(_tied(gaps, resamples), "tied", "below")
    verdicts[best] = "best"
    return verdicts


def _tied(gaps: Floats, resamples: int) -> NDArray[np.bool_]:
    """Decide for each row of ``gaps`` (rows, seeds, tasks) whether an interval of its mean includes zero."""
    rows, seeds, tasks = gaps.shape
    weights = resampling(np.ones((tasks, seeds), dtype=bool), resamples)
    means = weights @ gaps.transpose(2, 1, 0).reshape(tasks * seeds, rows)
    lows, highs = np.stack([np.quantile(means, TAILS, axis=0), over_seeds(gaps)], axis=1)
    tied: NDArray[np.bool_] = ((lows <= 0) & (highs >= 0)).any(axis=0)
    return tied
