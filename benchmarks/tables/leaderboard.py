"""All tables of a leaderboard: accuracies, accuracies by shots, costs of runs, costs of searches."""

from collections.abc import Sequence
from itertools import chain

import pandas as pd

from benchmarks.tables.accuracies import accuracies
from benchmarks.tables.costs import costs, searches
from benchmarks.tables.rows import comparable
from benchmarks.tables.shots import shots
from benchmarks.tables.table import Table


def tables(frame: pd.DataFrame) -> list[Table]:
    """Make the tables of all runs of ``frame``."""
    return of_groups(comparable(frame))


def of_groups(groups: Sequence[pd.DataFrame]) -> list[Table]:
    """Make the tables of groups of comparable runs: accuracies, accuracies by shots, costs of runs and of searches."""
    return [
        *map(accuracies, groups),
        *chain(*map(shots, groups)),
        *chain(*map(costs, groups)),
        *chain(*map(searches, groups)),
    ]
