"""What tables may claim: intervals over seeds, ranks and their critical difference, paired bootstraps of two methods.

Accuracies are in percent. Frames of whole seeds are (row and seed, task) without gaps; differences are (task, seed).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.95
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
RESAMPLES = 2000  # of each row of a table; two rows alone can afford more
MANY_RESAMPLES = 20_000
SEED = 0  # equal records give equal intervals
FEWEST_SEEDS = 2  # for an interval: one run says nothing of how runs differ


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row against another: ``difference`` is the mean over tasks of the means over seeds, in points.

    Intervals are of 95 %, and NaN where a task has fewer than two seeds: ``over_tasks_and_seeds`` and that of
    ``superiority`` by the bootstrap, ``over_seeds`` by t on these very tasks. ``resamples_better`` is the share of
    resamples whose difference is above zero; ``superiority`` the chance of the first to be above the second on one
    (task, seed). Ties count half in both.
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
        """Whether one of the two intervals includes zero.

        The bootstrap alone is too narrow for one or two tasks of three seeds; t alone knows of no other tasks.
        """
        return any(low <= 0 <= high for low, high in (self.over_tasks_and_seeds, self.over_seeds))


def intervals(samples: Floats) -> tuple[Floats, Floats]:
    """Ends of the 95 % interval of each mean, by Student's t; ``samples`` (rows, seeds), gaps NaN.

    NaN where a row has fewer than two seeds.
    """
    import pandas as pd

    rows = pd.DataFrame(samples)
    return _student(rows.mean(axis=1).to_numpy(), rows.sem(axis=1).to_numpy(), rows.count(axis=1).to_numpy() - 1)


def _student(mean: Floats, error: Floats, freedom: NDArray[Any]) -> tuple[Floats, Floats]:
    half = half_width(error, freedom)
    return mean - half, mean + half


def half_width(error: NDArray[Any], freedom: NDArray[Any]) -> Floats:
    """Half the 95 % interval of a mean by Student's t from its standard error; NaN without a degree of freedom."""
    from scipy.special import stdtrit  # which scipy.stats, slow to import, takes its quantiles from

    half: Floats = stdtrit(np.where(freedom > 0, freedom, math.nan), TAILS[1]) * error
    return np.where(error == 0, 0.0, half)


def mean_ranks(blocks: pd.DataFrame) -> pd.Series[float]:
    """Mean place of each column of ``blocks`` (task and seed, row), 1 the highest value; ties share their places."""
    return blocks.rank(axis=1, ascending=False, method="average").mean()


def critical_difference(rows: int, tasks: int) -> float:
    """By how much two mean ranks must differ at 5 %, of all pairs of ``rows`` (Nemenyi 1963, Demsar 2006).

    ``tasks`` are the independent blocks: seeds of one task are repeats of it and do not count as further ones.
    """
    return _studentized(rows) / math.sqrt(2) * math.sqrt(rows * (rows + 1) / (6 * tasks))


@cache
def _studentized(rows: int) -> float:
    """The 5 % quantile of the studentized range, which takes 0.1 s to compute."""
    from scipy import stats

    return float(stats.studentized_range.ppf(LEVEL, rows, np.inf))


def friedman(blocks: pd.DataFrame) -> float:
    """The p of the hypothesis that all columns of ``blocks`` (task, row) rank alike; three columns at least."""
    from scipy import stats

    return float(stats.friedmanchisquare(*blocks.to_numpy().T).pvalue)


def not_told_apart(ranks: pd.Series[float], critical: float) -> list[tuple[int, int]]:
    """The largest sets of neighbours within the critical difference, as first and last place in ascending ``ranks``."""
    values = ranks.to_numpy()
    found: list[tuple[int, int]] = []
    for first in range(len(values)):
        last = int(np.searchsorted(values, values[first] + critical, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


def resampling(present: NDArray[np.bool_], resamples: int, seed: int = SEED) -> Floats:
    """Weights (resamples, tasks x seeds) of a two-stage bootstrap: tasks are drawn, then seeds within each drawn task.

    scipy's bootstrap draws from one level only. ``present`` (tasks, seeds) has at least one seed a task; each row of
    weights sums to 1, so that weights @ values are means over tasks of means over seeds.
    """
    tasks, seeds = present.shape
    counts = present.sum(axis=1)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(tasks, np.full(tasks, 1 / tasks), size=resamples)  # (resamples, tasks)
    # a task drawn twice has its seeds drawn twice, each time as many as it has
    draws = generator.multinomial(drawn * counts, present / counts[:, None])  # (resamples, tasks, seeds)
    weights: Floats = (draws / counts[:, None] / tasks).reshape(resamples, tasks * seeds)
    return weights


def over_seeds(gaps: Floats) -> tuple[Floats, Floats]:
    """Ends of the 95 % interval of each row's mean over these very tasks, from how seeds differ within each task.

    ``gaps`` (rows, seeds, tasks), missing ones NaN; each task has its own variance, and the degrees of freedom are
    Welch's (Welch 1947, "The generalization of Student's problem"), of which scipy has the case of two samples.
    NaN where a task has fewer than two seeds.
    """
    counts = (~np.isnan(gaps)).sum(axis=1)  # (rows, tasks)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of one seed: the interval is NaN, as it says above
        variances = np.nanvar(gaps, axis=1, ddof=1) / counts
        freedom = variances.sum(axis=1) ** 2 / (variances**2 / (counts - 1)).sum(axis=1)
    return _student(np.nanmean(gaps, axis=1).mean(axis=1), np.sqrt(variances.sum(axis=1)) / gaps.shape[2], freedom)


def compare(differences: pd.DataFrame, resamples: int = MANY_RESAMPLES) -> Comparison:
    """The first row against the second from their ``differences`` (task, seed), NaN where either has no run."""
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
    """Each row of ``whole`` against the one with the highest mean: "best", "tied", "below", or "-" if that is unknown.

    Tied as in ``Comparison.tied``; unknown with fewer than two seeds in common.
    """
    import pandas as pd

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
    """Of each row of ``gaps`` (rows, seeds, tasks) whether an interval of its mean includes zero."""
    rows, seeds, tasks = gaps.shape
    weights = resampling(np.ones((tasks, seeds), dtype=bool), resamples)
    means = weights @ gaps.transpose(2, 1, 0).reshape(tasks * seeds, rows)
    drawn, measured = np.quantile(means, TAILS, axis=0), over_seeds(gaps)
    return _includes_zero(*drawn) | _includes_zero(*measured)


def _includes_zero(low: Floats, high: Floats) -> NDArray[np.bool_]:
    return (low <= 0) & (high >= 0)
