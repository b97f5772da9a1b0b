"""Many records to columns while they are read: nested fields flattened to dotted names, and histories aside.

A list of 100,000 parsed records would take gigabytes, their columns take a tenth of one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Histories:
    """The numbers of every epoch of many runs. ``values`` has a field's numbers of all runs end to end (NaN for none),
    ``ends`` where each run's end; a run without a single number of a field has no place there.
    """

    def __init__(self) -> None:
        self.values: dict[str, array[float]] = {}
        self.ends: dict[str, array[int]] = {}
        self.runs = 0

    def add(self, epochs: Sequence[Mapping[str, float | None]]) -> None:
        """Take in the history of the next run; every epoch has the fields of the first."""
        for field in epochs[0] if epochs else ():
            numbers: list[Any] = [epoch[field] for epoch in epochs]
            missing = numbers.count(None)
            if missing < len(numbers):
                self._extend(field, array("d", [math.nan if n is None else n for n in numbers] if missing else numbers))
        self.runs += 1

    def of(self, field: str, run: int) -> array[float]:
        """A field's numbers of one run, an epoch each; empty where it has none."""
        ends = self.reached(field)
        return self.values[field][ends[run - 1] if run else 0 : ends[run]]

    def extend(self, other: Histories) -> None:
        """Take in the runs of others after the own ones."""
        for field, values in other.values.items():
            ends = self._begun(field)
            ends.extend(len(self.values[field]) + end for end in other.ends[field])
            self.values[field].extend(values)
        self.runs += other.runs

    def _extend(self, field: str, numbers: array[float]) -> None:
        ends = self._begun(field)
        self.values[field].extend(numbers)
        ends.append(len(self.values[field]))

    def _begun(self, field: str) -> array[int]:
        if field not in self.values:
            self.values[field], self.ends[field] = array("d"), array("q")
        return self.reached(field)

    def reached(self, field: str) -> array[int]:
        """The ends of a field, with those of the runs that came without it."""
        ends = self.ends[field]
        ends.extend([ends[-1] if ends else 0] * (self.runs - len(ends)))
        return ends


class Columns:
    """A table that grows by a record at a time; equal texts are kept once."""

    def __init__(self) -> None:
        self._columns: dict[str, dict[str, list[Any]]] = {}  # by what their names begin with, then by the rest
        self._texts: dict[str, str] = {}
        self._rows = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in a record as the next row; its history is left out."""
        self._add({name: value for name, value in record.items() if name != "history"}, "")
        self._rows += 1

    def _add(self, values: Mapping[str, Any], prefix: str) -> None:
        columns, texts, rows = self._columns.setdefault(prefix, {}), self._texts, self._rows
        for name, value in values.items():
            if isinstance(value, dict):
                self._add(value, f"{prefix}{name}.")
                continue
            column = columns.get(name)
            if column is None:
                column = columns[name] = []
            if len(column) < rows:
                column.extend([math.nan] * (rows - len(column)))
            column.append(texts.setdefault(value, value) if isinstance(value, str) else value)

    def frame(self) -> pd.DataFrame:
        """One row a record, with the columns of ``pandas.json_normalize``; a field that a record lacks is NaN."""
        import pandas as pd

        values = {prefix + name: column for prefix, part in self._columns.items() for name, column in part.items()}
        for column in values.values():
            column.extend([math.nan] * (self._rows - len(column)))
        return pd.DataFrame(values)


def coded(values: pd.Series[Any]) -> tuple[np.ndarray[Any, Any], list[str]]:
    """The place of each value in a list of JSON texts, -1 for none; whole numbers are written without a fraction, which
    a column with gaps gives them.
    """
    import numpy as np
    import orjson
    import pandas as pd

    if values.dtype.kind in "biuf" or pd.api.types.infer_dtype(values, skipna=True) == "string":
        places, found = pd.factorize(values)
        return places, [orjson.dumps(_whole(value)).decode() for value in found.tolist()]
    # by their texts, for True and 1 are equal, and lists have no hash
    seen = {b"null": -1}  # the text of NaN, too
    places = np.fromiter((seen.setdefault(text, len(seen) - 1) for text in map(orjson.dumps, values.tolist())), "int64")
    return places, [text.decode() for text in list(seen)[1:]]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
