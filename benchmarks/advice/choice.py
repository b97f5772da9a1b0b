"""The rule of choice: the method with the fewest trained parameters that is not distinguishable from the best."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.advice.judging import Judged
from benchmarks.tables.intervals import ADDED
from benchmarks.tables.statistics import intervals

IMAGINED = 100 / math.sqrt(2)  # percentage points


def best(judged: Mapping[str, Judged]) -> str:
    """The method with the highest mean; of equal ones the one that trains fewer parameters."""
    return max(judged, key=lambda method: (judged[method].mean, -judged[method].params))


def difference(first: Judged, second: Judged) -> tuple[float, float]:
    """The 95 % interval of the difference of two means, in percentage points, over samples that both were judged on.

    It is Student's t over the differences of the samples and of two imagined ones. These stand for half a sample that
    only the first is right about and half one that only the second is (Agresti and Min 2005), so that a few samples
    alone show no difference.
    """
    gaps = 100 * (np.array(first.samples) - np.array(second.samples))
    low, high = intervals(np.append(gaps, [IMAGINED, -IMAGINED])[None])
    return float(low[0]), float(high[0])


def tied(judged: Mapping[str, Judged]) -> list[str]:
    """The methods that are not distinguishable from the best, the best among them, the cheapest first."""
    top = best(judged)
    equal = [method for method, one in judged.items() if difference(judged[top], one)[0] <= 0]
    return sorted(equal, key=lambda method: (judged[method].params, -judged[method].mean))


def finalists(judged: Mapping[str, Judged], stopped: Sequence[str], count: int) -> list[str]:
    """The methods to judge again, ``count`` in all.

    These are the best one, those that are tied with it, those of ``stopped``, and then the next best.
    """
    by_mean = sorted(judged, key=lambda method: (-judged[method].mean, judged[method].params))
    return list(dict.fromkeys([by_mean[0], *tied(judged), *stopped, *by_mean]))[:count]


def pooled(repeats: list[Judged]) -> Judged:
    """The mean of several judgements of one method on the same samples."""
    samples = np.mean([one.samples for one in repeats], axis=0)
    return Judged(samples=tuple(samples.tolist()), params=repeats[0].params)


def half_interval(judged: Judged) -> float:
    """Half the 95 % interval of a mean over samples, in percentage points.

    As in ``tables.intervals``, some imagined samples are added, half of them right.
    """
    added = [0.0, 100.0] * (ADDED // 2)
    low, high = intervals(np.append(100 * np.array(judged.samples), added)[None])
    return float(high[0] - low[0]) / 2
