"""All details of all runs for the page, packed in pieces of RUNS runs. The page unpacks a piece when it needs it."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pandas as pd

from benchmarks.tables.reader import HISTORY, TEXTS

RUNS = 256  # per piece
DIGITS = 4  # significant digits of measured numbers; the records have all digits
# The first two are equal in all records; the other two repeat other fields.
LEFT_OUT = ("schema_version", "status", "spec.recipe", "history.epoch")


def pack(text: bytes, level: int = 1) -> str:
    """Compress by gzip and encode in base64. Equal texts give equal results.

    Level 4 takes twice as long as level 1 and saves an eighth of the size.
    """
    return base64.b64encode(gzip.compress(text, level, mtime=0)).decode()


def pieces(frame: pd.DataFrame) -> Iterator[str]:
    """Pack the runs of ``frame`` in its order, RUNS per piece.

    A piece is a JSON object with one list per column, which has one value per run.
    """
    shown = frame.drop(columns=[name for name in LEFT_OUT if name in frame])
    for start in range(0, len(shown), RUNS):
        runs = shown.iloc[start : start + RUNS]
        yield pack(orjson.dumps({str(name): _values(str(name), runs[name]) for name in runs}))


def _values(name: str, column: pd.Series[Any]) -> list[Any]:
    """Return the values of a column for JSON. NaN becomes null, and measured numbers are rounded."""
    values = column.tolist()
    if name in TEXTS:
        texts = [text if isinstance(text, str) else "null" for text in values]
        return [_rounded(orjson.loads(text)) if name == "report" else orjson.Fragment(text) for text in texts]
    if name.startswith(HISTORY):
        return [_rounded(curve.tolist()) if isinstance(curve, np.ndarray) else None for curve in values]
    return _rounded(values) if name.startswith("cost.") else values


def _rounded(value: Any) -> Any:
    """Round every float in a JSON value to DIGITS significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    return {name: _rounded(part) for name, part in value.items()} if isinstance(value, dict) else value
