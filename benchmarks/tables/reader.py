"""Records read into a table; of very many, half in a second process."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from benchmarks.tables.columns import Columns, Histories

if TYPE_CHECKING:
    import pandas as pd

MANY = 20_000  # below this a second process takes longer to start than it saves


def read_all(paths: Sequence[str]) -> tuple[pd.DataFrame, Histories]:
    """The records of these files, a row each in this order, and their histories.

    Raises:
        ValueError: one cannot be read.
    """
    if len(paths) < MANY:
        return read(paths)
    half = len(paths) // 2
    with ProcessPoolExecutor(1, get_context("spawn")) as second:
        rest = second.submit(read, paths[half:])
        frame, histories = read(paths[:half])
        more, more_histories = rest.result()
    histories.extend(more_histories)
    return joined(frame, more), histories


def read(paths: Sequence[str]) -> tuple[pd.DataFrame, Histories]:
    """The records of these files, one after the other."""
    from benchmarks import store

    columns, histories = Columns(), Histories()
    with _uncollected():
        for path in paths:
            record = store.read(path)
            columns.add(record)
            histories.add(record["history"])
    return columns.frame(), histories


@contextmanager
def _uncollected() -> Iterator[None]:
    """Records have no cycles; to look for some takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def joined(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """The rows of both in the columns, and of the types, of one table made of all these records."""
    import pandas as pd

    names: dict[str, dict[str, None]] = {}  # of one prefix beside each other, as ``Columns`` has them
    for name in (*first, *second):
        names.setdefault(str(name).rpartition(".")[0], {})[str(name)] = None
    return pd.DataFrame({name: _column(first, second, name) for part in names.values() for name in part})


def _column(first: pd.DataFrame, second: pd.DataFrame, name: str) -> pd.Series[Any]:
    import pandas as pd

    if name in first and name in second and first[name].dtype == second[name].dtype:
        return pd.concat([first[name], second[name]], ignore_index=True)
    values = [frame[name].tolist() if name in frame else [math.nan] * len(frame) for frame in (first, second)]
    return pd.Series(values[0] + values[1])
