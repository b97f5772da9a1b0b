"""A table: texts for people, and the numbers behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """One comparison: runs that differ in method, task and seed alone.

    ``cells`` holds texts; ``values`` the numbers behind them where a column is one to be best in, NaN elsewhere;
    ``tasks`` names the columns that are tasks.
    """

    title: str
    notes: tuple[str, ...]
    cells: pd.DataFrame
    values: pd.DataFrame
    tasks: tuple[str, ...] = ()

    def best(self) -> pd.DataFrame:
        """Where a cell is the best of its column, ties at the shown precision included."""
        return self.values.eq(self.values.max()) & self.values.notna()


def nothing_best(cells: pd.DataFrame) -> pd.DataFrame:
    """The numbers of a table in which no cell is marked as the best of its column."""
    import pandas as pd

    return pd.DataFrame(math.nan, index=cells.index, columns=cells.columns)
