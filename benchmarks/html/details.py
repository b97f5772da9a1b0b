"""Everything that is known of each run, for the page: pieces of RUNS runs, each unpacked when it is needed."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.tables.reader import HISTORY, TEXTS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

RUNS = 256  # per piece
DIGITS = 4  # significant digits of measured numbers; the records have all digits
LEFT_OUT = (
    "schema_version",
    "status",
    "spec.recipe",
    "history.epoch",
)  # equal in all records, or in other fields too


def pack(text: bytes, level: int = 1) -> str:
    """Gzip in base64; equal texts give equal results. Level 4 takes twice as long as 1 for an eighth less."""
    return base64.b64encode(gzip.compress(text, level, mtime=0)).decode()


def pieces(frame: pd.DataFrame) -> Iterator[str]:
    """Pack the runs of ``frame`` in its order, RUNS of them per piece.

    A piece is a JSON object with one list per column, which has one value per run.
    """
    shown = frame.drop(columns=[name for name in LEFT_OUT if name in frame])
    for start in range(0, len(shown), RUNS):
        runs = shown.iloc[start : start + RUNS]
        columns = {str(name): _values(str(name), runs[name]) for name in runs}
        yield pack(orjson.dumps(columns, option=orjson.OPT_SERIALIZE_NUMPY))


def _values(name: str, column: pd.Series[Any]) -> Any:
    """The values of a column for JSON, where NaN becomes null; measured numbers are rounded."""
    import numpy as np

    if name in TEXTS:
        texts = [text if isinstance(text, str) else "null" for text in column]
        return [_short(orjson.loads(text)) if name == "report" else orjson.Fragment(text) for text in texts]
    if name.startswith(HISTORY):
        return [rounded(curve) if isinstance(curve, np.ndarray) else None for curve in column]
    if name.startswith("cost.") and column.dtype.kind == "f":
        return rounded(column.to_numpy())
    return column.tolist()


def rounded(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Round to DIGITS significant digits; each result is the float nearest to its decimal text."""
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(places), places, 0)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    result: np.ndarray[Any, Any] = np.round(values * up / down) * down / up
    return result


def _short(value: Any) -> Any:
    """Round every float of a report to DIGITS significant digits."""
    if isinstance(value, dict):
        return {name: _short(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
