"""Means of rows over seeds with half their 95 % intervals, as plots show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.published import GROUP_MEAN
from benchmarks.tables.rows import tasks_and_groups
from benchmarks.tables.statistics import TAILS, half_width

ADDED = 4  # samples, half of them right (Agresti and Coull 1998), so that an accuracy of 100 % has an interval as well
SAMPLES = "accuracy.test_samples"
NORMAL = stats.norm.ppf(TAILS[1])


def means(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return mean accuracies, half their 95 % intervals, both in percent, and the numbers of seeds.

    ``frame`` is one group of comparable runs. All three are (row, column): the mean over tasks if there are several,
    the mean of the groups' means if that is another, then each task. Means use the seeds that have every task. The
    interval is Student's t over seeds. A single seed has the binomial interval of its test split, or NaN if the metric
    is no share of samples.
    """
    pivot = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test")
    samples = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values=SAMPLES).reindex_like(pivot)
    variances = sampling_variance(pivot, samples)
    if frame["metric"].iloc[0] != "accuracy":
        variances = variances * np.nan
    tasks = pivot.shape[1]
    if tasks > 1:
        name = f"mean of {tasks} tasks"
        variances.insert(0, name, variances.sum(axis=1, skipna=False) / tasks**2)
        pivot.insert(0, name, pivot.mean(axis=1, skipna=False))
    groups = tasks_and_groups(frame)[1]
    if 1 < len(groups) < tasks:
        shares = pd.Series({task: 1 / len(own) / len(groups) for own in groups.values() for task in own})
        variances.insert(1, GROUP_MEAN, (variances[shares.index] * shares**2).sum(axis=1, skipna=False))
        pivot.insert(1, GROUP_MEAN, (pivot[shares.index] * shares).sum(axis=1, skipna=False))
    seeds = (100 * pivot).groupby(level="row")
    mean, error, counts = seeds.mean(), seeds.sem(), seeds.count()
    half = half_width(error.to_numpy(), counts.to_numpy() - 1)
    single = NORMAL * 100 * np.sqrt(variances.where(pivot.notna()).groupby(level="row").mean())
    return mean, single.where(counts == 1, pd.DataFrame(half, mean.index, mean.columns)), counts


def sampling_variance(shares: Any, samples: Any) -> Any:
    """Return the variance of shares of right samples, from 0 to 1, because the samples were drawn at random."""
    shares = (shares * samples + ADDED / 2) / (samples + ADDED)
    return shares * (1 - shares) / (samples + ADDED)
