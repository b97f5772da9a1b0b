"""results/runs.parquet: all runs as one table for other tools, one row per run, ordered by the path of the record."""

from __future__ import annotations

import csv
import io
from importlib.resources import files
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from pyarrow import parquet


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the bytes of the file: the columns of ``schema``, then all other columns by name.

    A value that a run lacks is null. An object is JSON text. A column of the history holds a list of floats per run,
    with one float per epoch.
    """
    known, missing = schema(), [None] * len(frame)
    columns = {name: pa.array(frame.get(name, missing), kind, from_pandas=True) for name, kind in known.items()}
    columns |= {name: _inferred(frame[name]) for name in sorted(set(map(str, frame)) - set(known))}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def schema() -> dict[str, pa.DataType]:
    """Read the columns that every file has, even where no run has a value, and their types."""
    listed = csv.reader((files("benchmarks.tables") / "columns.csv").read_text().splitlines()[1:])
    return {name: pa.list_(pa.float64()) if kind == "list" else pa.type_for_alias(kind) for name, kind in listed}


def _inferred(values: pd.Series[Any]) -> pa.Array:
    """Make a column with the type of its values, or with their JSON text if they have several types."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array(values.map(lambda value: orjson.dumps(value).decode(), na_action="ignore"), from_pandas=True)
