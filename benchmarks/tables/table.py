"""The type of a table: texts to show, and the numbers behind them."""

import math
from collections.abc import Sized
from dataclasses import dataclass, field
from importlib.resources import files

import pandas as pd


@dataclass(frozen=True)
class Table:
    """A table of comparable runs, which differ in method, task and seed alone.

    ``cells`` holds the texts. ``values`` holds the number behind each text in columns whose best cell is marked, and
    NaN in other columns. ``tasks`` names the columns that are tasks. ``costs`` says that the table is about costs.
    ``foot`` holds the texts of rows that compete with no other and stand below all. ``alerts`` are notes that a person
    must not miss.
    """

    title: str
    notes: tuple[str, ...]
    cells: pd.DataFrame
    values: pd.DataFrame
    tasks: tuple[str, ...] = ()
    costs: bool = False
    foot: pd.DataFrame = field(default_factory=pd.DataFrame)
    alerts: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """Notes and alerts."""
        return (*self.notes, *self.alerts)

    def whole(self) -> pd.DataFrame:
        """All texts, those of the foot last."""
        return (
            pd.concat([self.cells, self.foot]).rename_axis(str(self.cells.index.name)) if len(self.foot) else self.cells
        )

    def best(self) -> pd.DataFrame:
        """Mark the best cells of each column. Cells that are equal at the shown precision are all marked."""
        return self.values.eq(self.values.max()) & self.values.notna()


def nothing_best(cells: pd.DataFrame) -> pd.DataFrame:
    """Return ``values`` for a table in which no cell is marked as the best of its column."""
    return pd.DataFrame(math.nan, index=cells.index, columns=cells.columns)


def notes(name: str, **values: object) -> tuple[str, ...]:
    """Return the lines of the file notes/NAME.txt, with ``values`` in their places."""
    text = (files("benchmarks.tables") / "notes" / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(line.format(**values) for line in text.splitlines())


def counted(names: Sized, noun: str) -> str:
    """Write "1 task" or "2 tasks"."""
    return f"{len(names)} {noun}{'s' * (len(names) > 1)}"
