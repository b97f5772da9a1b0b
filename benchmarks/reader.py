"""Records read into columns; of very many, half in a second process, ``python -m benchmarks.reader``."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.columns import Columns, Histories

MANY = 20_000  # below this a second process takes longer to start than it saves


def read_all(paths: Sequence[str]) -> tuple[Columns, Histories]:
    """The records of these files, in this order.

    Raises:
        ValueError: one cannot be read.
    """
    if len(paths) < MANY:
        return _read(paths)
    half = len(paths) // 2
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.reader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as second:
        assert second.stdin and second.stdout
        try:
            with second.stdin as stdin:
                pickle.dump(paths[half:], stdin)
            columns, histories = _read(paths[:half])
            rest = pickle.load(second.stdout)
        except BaseException:
            second.kill()
            raise
    if isinstance(rest, ValueError):
        raise rest
    columns.extend(rest[0])
    histories.extend(rest[1])
    return columns, histories


def _read(paths: Sequence[str]) -> tuple[Columns, Histories]:
    from benchmarks import store

    columns, histories = Columns(), Histories()
    for path in paths:
        record = store.read(path)
        columns.add(record)
        histories.add(record["history"])
    return columns, histories


def answer() -> None:
    """Read the files that a first process names, and hand it what is in them, or the error."""
    paths = pickle.load(sys.stdin.buffer)
    try:
        found: object = _read(paths)
    except ValueError as error:
        found = error
    pickle.dump(found, sys.stdout.buffer, protocol=pickle.HIGHEST_PROTOCOL)


if __name__ == "__main__":
    answer()
