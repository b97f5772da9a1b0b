"""All tables of a leaderboard: accuracies, what runs cost, what searches cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.tables.accuracies import accuracies
from benchmarks.tables.costs import costs, searches
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


def tables(frame: pd.DataFrame) -> list[Table]:
    """The tables of all runs of ``frame``, by what may be compared."""
    return of_groups(comparable(frame))


def of_groups(groups: Sequence[pd.DataFrame]) -> list[Table]:
    """One table of accuracies for every set of runs that may be compared, in a stable order; then what these runs
    cost, and what the searches among them cost.
    """
    spent = [table for group in groups for table in costs(group)]
    return [*map(accuracies, groups), *spent, *(table for group in groups for table in searches(group))]
