"""Records read into a table; very many by two processes."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks import second
from benchmarks.tables.columns import TOGETHER, Columns, Histories

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pandas as pd

CHUNK, AHEAD = 300, 4  # records read and sent at once; how often that is asked for before it is done
PROMPT = 0.0005  # seconds that this process keeps the thread waiting that takes in what the other has read


def read_all(paths: Sequence[str], later: Sequence[str] = ()) -> tuple[pd.DataFrame, Histories]:
    """The records of these files, a row each in this order, and their histories.

    ``later`` names modules that the second process, if there is one, will need for what it is asked next.

    Raises:
        ValueError: one cannot be read.
    """
    columns, histories = Columns(), Histories()
    with uncollected():
        parts = [read(paths)] if len(paths) < second.MANY else _read_by_two(paths, later)
        for more_columns, more_histories in parts:
            columns.extend(more_columns)
            histories.extend(more_histories)
        return columns.frame(), histories


def _read_by_two(paths: Sequence[str], later: Sequence[str]) -> Iterator[tuple[Columns, Histories]]:
    """A part at a time; the second process begins at the first, this one at the last, until they meet."""
    for name in later:
        second.process().submit(import_module, name)
    left = deque(paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK))
    asked: list[Future[tuple[Columns, Histories]]] = []
    own: deque[tuple[Columns, Histories]] = deque()

    def ask() -> None:
        while left and sum(not future.done() for future in asked[-AHEAD:]) < AHEAD:
            asked.append(second.process().submit(read, left.popleft()))

    patience = sys.getswitchinterval()
    sys.setswitchinterval(PROMPT)
    try:
        ask()
        import_module("pandas")  # slow, so while the other process reads
        while left:
            own.appendleft(read(left.pop()))
            ask()
        yield from (future.result() for future in asked)
    finally:
        sys.setswitchinterval(patience)
    yield from own


def read(paths: Sequence[str]) -> tuple[Columns, Histories]:
    """The records of these files, one after the other."""
    from benchmarks.records import store

    columns, histories = Columns(), Histories()
    with uncollected():
        for start in range(0, len(paths), TOGETHER):
            records = [store.read(path) for path in paths[start : start + TOGETHER]]
            histories.add([record.pop("history") for record in records])
            columns.add(records)
    return columns, histories


@contextmanager
def uncollected() -> Iterator[None]:
    """Records have no cycles; to look for some takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
