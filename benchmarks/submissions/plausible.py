"""Whether submitted accuracies are plausible: a t-test against our runs of the same specs apart from the seed.

Few seeds say little about a spread. The median variance of all our groups on a task therefore joins that of a group,
with the weight of at most WEIGHT degrees of freedom (as the moderated t-test of Smyth 2004 does).
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

WEIGHT = 4  # with more, some of our own seeds would be implausible beside the others
LEVEL = 0.001  # the probability that honest records of one pack are called implausible, over all its tests together
Runs = Sequence[Mapping[str, Any]]


def faults(records: Iterable[Mapping[str, Any]], ours: Iterable[Mapping[str, Any]]) -> tuple[list[str], int, int]:
    """One line per group of runs that differs from ours more than chance allows; how many groups were tested or not.

    A group is the runs of a pack whose specs differ in the seed alone. It is not tested if we have not run its spec.
    """
    known, given = _groups(ours), _groups(records)
    usual = _usual(known.values())
    tested = [spec for spec, runs in given.items() if spec in known and usual[_task(runs)][1]]
    lines = []
    for spec in tested:
        theirs, own, run = _percent(given[spec]), _percent(known[spec]), given[spec][0]["spec"]
        chance = _probability(theirs, own, *usual[_task(given[spec])])
        if chance < LEVEL / len(tested):
            what = f"{run['method']} on {run['task']}: {theirs.mean():.1f} % over {len(theirs)} seeds"
            lines.append(f"{what}, ours {own.mean():.1f} % over {len(own)}; such a difference has p = {chance:.0e}")
    return lines, len(tested), len(given) - len(tested)


def _groups(records: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found = defaultdict[str, list[Mapping[str, Any]]](list)
    for record in records:
        spec = {name: value for name, value in record["spec"].items() if name not in ("seed", "data_fingerprint")}
        found[json.dumps(spec | {"backbone": spec["backbone"]["sha256"]}, sort_keys=True)].append(record)
    return found


def _task(runs: Runs) -> tuple[str, str]:
    return runs[0]["spec"]["suite"], runs[0]["spec"]["task"]


def _percent(runs: Runs) -> NDArray[np.float64]:
    return np.array([100 * run["accuracy"]["test"] for run in runs])


def _usual(groups: Iterable[Runs]) -> dict[tuple[str, str], tuple[float, int]]:
    """Of every task the median variance of its groups, and the degrees of freedom behind it."""
    found = defaultdict[tuple[str, str], list[NDArray[np.float64]]](list)
    for runs in groups:
        found[_task(runs)].append(_percent(runs))
    freedom = {task: sum(len(one) - 1 for one in own) for task, own in found.items()}
    medians = {task: [one.var(ddof=1) for one in own if len(one) > 1] for task, own in found.items()}
    return {task: (float(np.median(medians[task])) if freedom[task] else 0.0, freedom[task]) for task in found}


def _probability(theirs: NDArray[np.float64], own: NDArray[np.float64], usual: float, freedom: int) -> float:
    """The two-sided p of the t-test, with the usual variance of the task and its degrees of freedom."""
    squares = sum(float(((one - one.mean()) ** 2).sum()) for one in (theirs, own))
    weight, seeds = min(WEIGHT, freedom), len(theirs) + len(own) - 2
    variance = max((squares + weight * usual) / (weight + seeds), 1e-12)
    t = abs(theirs.mean() - own.mean()) / sqrt(variance * (1 / len(theirs) + 1 / len(own)))
    return float(2 * stats.t.sf(t, weight + seeds))
