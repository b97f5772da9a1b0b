"""Many records to columns while they are read: nested fields flattened to dotted names, and histories aside.

A list of 100,000 parsed records would take gigabytes, their columns take a tenth of one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, groupby, islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Column = list[Any] | array[Any]

TOGETHER = 64  # records to take in at once: a column of many is soon done
LARGEST = 2**63 - 1  # of an array's integers
TYPES = {"d": "float64", "q": "int64"}  # of arrays, by their type code


class Histories:
    """The numbers of every epoch of many runs. ``values`` has a field's numbers of all runs end to end (NaN for none),
    ``ends`` where each run's end; a run without a single number of a field has no place there.
    """

    def __init__(self) -> None:
        self.values: dict[str, array[float]] = {}
        self.ends: dict[str, array[int]] = {}
        self.runs = 0

    def add(self, runs: Sequence[Sequence[Mapping[str, float | None]]]) -> None:
        """Take in the histories of the next runs; every epoch has the fields of its run's first."""
        for fields, some in groupby(runs, lambda epochs: tuple(epochs[0]) if epochs else ()):
            alike = list(some)
            lengths = list(map(len, alike))
            for field, numbers in _by_field(fields, chain.from_iterable(alike)) if fields else ():
                self._extend(field, numbers, lengths)
            self.runs += len(alike)

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

    def _extend(self, field: str, numbers: Sequence[Any], lengths: Sequence[int]) -> None:
        missing = numbers.count(None)
        if missing == len(numbers):
            return
        ends, values = self._begun(field), self.values[field]
        if not missing:
            ends.extend(list(accumulate(lengths, initial=len(values)))[1:])
            values.extend(array("d", numbers))
            return
        left = iter(numbers)
        for length in lengths:
            run = list(islice(left, length))
            if None not in run:
                values.extend(array("d", run))
            elif run.count(None) < length:
                values.extend(math.nan if number is None else number for number in run)
            ends.append(len(values))

    def _begun(self, field: str) -> array[int]:
        if field not in self.values:
            self.values[field], self.ends[field] = array("d"), array("q")
        return self.reached(field)

    def reached(self, field: str) -> array[int]:
        """The ends of a field, with those of the runs that came without it."""
        ends = self.ends[field]
        ends.extend([ends[-1] if ends else 0] * (self.runs - len(ends)))
        return ends


def _by_field(fields: Sequence[str], epochs: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    rows = map(itemgetter(*fields, fields[0]), epochs)  # of a single field it would be no tuple
    return zip(fields, zip(*rows, strict=True), strict=False)


class Columns:
    """A table that grows by some records at a time; equal texts and flat lists are kept once."""

    def __init__(self) -> None:
        self._columns: dict[str, Column] = {}
        self._once: dict[str, Any] = {}
        self._rows = 0

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take in records as the next rows."""
        first, self._rows = self._rows, self._rows + len(records)
        self._add(records, range(first, self._rows), "")

    def extend(self, other: Columns) -> None:
        """Take in the rows of others after the own ones."""
        for name, values in other._columns.items():
            self._reaching(name, self._rows, _code_of(values)).extend(values)
        self._rows += other._rows

    def _add(self, records: Sequence[Mapping[str, Any]], rows: Sequence[int], prefix: str) -> None:
        alike: dict[tuple[str, ...], list[int]] = {}
        for number, names in enumerate(map(tuple, records)):
            alike.setdefault(names, []).append(number)
        for names, numbers in alike.items():
            places = [rows[number] for number in numbers]
            by_name = zip(*(records[number].values() for number in numbers), strict=True)
            for name, values in zip(names, by_name, strict=True):
                kinds = set(map(type, values))
                if kinds == {dict}:
                    self._add(values, places, f"{prefix}{name}.")
                elif dict in kinds:
                    inner = [number for number, value in enumerate(values) if isinstance(value, dict)]
                    self._add([values[n] for n in inner], [places[n] for n in inner], f"{prefix}{name}.")
                    rest = [number for number, value in enumerate(values) if not isinstance(value, dict)]
                    self._put(prefix + name, [places[n] for n in rest], [values[n] for n in rest], kinds)
                else:
                    self._put(prefix + name, places, values, kinds)

    def _put(self, name: str, places: Sequence[int], values: Sequence[Any], kinds: set[type]) -> None:
        code = _code(values, kinds)
        column = self._reaching(name, places[0], code)
        if len(column) == places[0] and len(places) == places[-1] + 1 - places[0]:
            column.extend(self._kept(values, kinds))
            return
        column = self._reaching(name, self._rows, code)
        for place, value in zip(places, self._kept(values, kinds), strict=True):
            column[place] = value

    def _reaching(self, name: str, rows: int, code: str | None) -> Column:
        """A column with so many rows, or more, that can hold what has this type code."""
        column = self._columns.get(name)
        if column is None:
            column = array(code) if code else []
        gap = rows - len(column)
        if isinstance(column, array) and (column.typecode != code or (gap > 0 and code != "d")):
            column = column.tolist()
        column.extend([math.nan] * gap)
        self._columns[name] = column
        return column

    def _kept(self, values: Sequence[Any], kinds: set[type]) -> Iterable[Any]:
        if kinds == {str}:
            return map(self._once.setdefault, values, values)
        if kinds.isdisjoint((str, list)):
            return values
        return map(self._one_kept, values)

    def _one_kept(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._once.setdefault(value, value)
        if isinstance(value, list) and list not in map(type, value):
            return self._once.setdefault(repr(value), value)
        return value

    def frame(self) -> pd.DataFrame:
        """One row a record, with the columns of ``pandas.json_normalize``; a field that a record lacks is NaN."""
        import numpy as np
        import pandas as pd

        whole = {name: self._reaching(name, self._rows, _code_of(c)) for name, c in list(self._columns.items())}
        return pd.DataFrame(
            {name: np.frombuffer(c, TYPES[c.typecode]) if isinstance(c, array) else c for name, c in whole.items()}
        )


def _code(values: Sequence[Any], kinds: set[type]) -> str | None:
    """The type code of an array that holds these values; None where a list has to."""
    if kinds == {float}:
        return "d"
    return "q" if kinds == {int} and max(map(abs, values)) <= LARGEST else None


def _code_of(column: Column) -> str | None:
    return column.typecode if isinstance(column, array) else None


def coded(
    values: pd.Series[Any], to_write: Callable[[list[Any]], Sequence[Any]] = list
) -> tuple[np.ndarray[Any, Any], list[str]]:
    """The place of each value in a list of JSON texts, -1 for none; whole numbers are written without a fraction, which
    a column with gaps gives them.

    ``to_write`` makes of different values what is written of each.
    """
    import numpy as np
    import orjson
    import pandas as pd

    if values.dtype.kind in "biuf" or pd.api.types.infer_dtype(values, skipna=True) == "string":
        places, found = pd.factorize(values)
        return places, [orjson.dumps(value).decode() for value in to_write([_whole(value) for value in found.tolist()])]
    # by their texts, for True and 1 are equal, and lists have no hash; what stands in many rows is written once
    known = values.notna().to_numpy()
    each = values[known].tolist()
    seen: dict[bytes, int] = {}
    once = {id(value): value for value in each}
    texts = map(orjson.dumps, to_write(list(once.values())))
    place = {key: seen.setdefault(text, len(seen)) for key, text in zip(once, texts, strict=True)}
    places = np.full(len(values), -1)
    places[known] = [place[id(value)] for value in each]
    return places, [text.decode() for text in seen]


def kinds_of(columns: Sequence[np.ndarray[Any, Any]], rows: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Of each of so many rows the number of its kind, equal where all places in ``columns`` are, as ``coded`` makes
    them; and the first row of each kind.
    """
    import numpy as np
    import pandas as pd

    kinds = np.zeros(rows, dtype=np.int64)
    for places in columns:
        kinds = pd.factorize(kinds * (places.max(initial=-1) + 2) + places + 1)[0]
    return kinds, np.unique(kinds, return_index=True)[1]


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
