"""All that is known of every run, packed: gzip in base64, some hundred runs a piece, which the page opens on demand."""

from __future__ import annotations

import base64
import gzip
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orjson import OPT_SERIALIZE_NUMPY, Fragment, dumps

from benchmarks.tables.columns import coded

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from benchmarks.tables.columns import Histories

RUNS = 256  # a piece
BLOCK = 2**18  # numbers rounded at once
DIGITS = 4  # significant ones of measured numbers; the records have all
MEASURED = ("cost.", "report.")
LEFT_OUT = ("schema_version", "status")  # the same in all records


def pack(text: bytes, level: int = 1) -> str:
    """Gzip in base64, equal for equal text; level 4 takes twice as long as 1 for an eighth less."""
    return base64.b64encode(gzip.compress(text, level, mtime=0)).decode()


def pieces(frame: pd.DataFrame, order: list[int], histories: Histories) -> Iterator[str]:
    """The runs of ``frame`` in this order of their labels, which are their numbers in ``histories``; RUNS of them a
    piece, packed.

    A piece is JSON: ``same`` has the fields in which its runs are equal, ``each`` a list a field for the others, and
    ``curves`` the same for the epochs.
    """
    import pandas as pd

    places = frame.index.get_indexer(pd.Index(order))
    fields = {str(name): _field(str(name), frame[name].take(places)) for name in frame if name not in LEFT_OUT}
    curves = {name: _curves(histories, name) for name in histories.values if name != "epoch"}

    def piece(start: int) -> bytes:
        rows, runs = slice(start, start + RUNS), order[start : start + RUNS]
        parts = _split(fields, rows) | {"curves": _split_curves({name: of(runs) for name, of in curves.items()})}
        return dumps(parts, option=OPT_SERIALIZE_NUMPY)

    packing: deque[Future[str]] = deque()  # few at a time, for the memory
    with ThreadPoolExecutor(2) as threads:  # gzip works beside Python
        for start in range(0, len(order), RUNS):
            packing.append(threads.submit(pack, piece(start)))
            if len(packing) > 4:
                yield packing.popleft().result()
        yield from (packed.result() for packed in packing)


@dataclass(frozen=True)
class _Field:
    """The values of all runs: numbers, or places in a list of JSON texts."""

    numbers: np.ndarray[Any, Any]
    texts: list[Any] | None = None

    def at(self, rows: slice) -> Any:
        numbers = self.numbers[rows]
        return numbers if self.texts is None else [self.texts[number] for number in numbers.tolist()]


def _split(fields: dict[str, _Field], rows: slice) -> dict[str, dict[str, Any]]:
    same, each = {}, {}
    for name, field in fields.items():
        numbers = field.numbers[rows]
        if (numbers == numbers[0]).all():
            same[name] = field.at(slice(rows.start, rows.start + 1))[0]
        elif not (numbers != numbers).all():  # all NaN
            each[name] = field.at(rows)
    return {"same": same, "each": each}


def _field(name: str, values: pd.Series[Any]) -> _Field:
    measured = name.startswith(MEASURED)
    if values.dtype.kind in "biuf":
        numbers = values.to_numpy()
        return _Field(rounded(numbers) if measured and values.dtype.kind == "f" else numbers)
    places, texts = coded(values, _short_all) if measured else coded(values)
    return _Field(places, list(map(Fragment, [*texts, "null"])))  # a missing one is at -1


def _curves(histories: Histories, name: str) -> Callable[[Sequence[int]], list[np.ndarray[Any, Any]]]:
    import numpy as np

    values, ends = rounded(np.frombuffer(histories.values[name])), histories.reached(name)
    return lambda runs: [values[ends[run - 1] if run else 0 : ends[run]] for run in runs]


def _split_curves(curves: dict[str, list[np.ndarray[Any, Any]]]) -> dict[str, dict[str, Any]]:
    same: dict[str, Any] = {}
    each: dict[str, Any] = {}
    for name, runs in curves.items():
        first = runs[0].tobytes()
        if any(curve.tobytes() != first for curve in runs):
            each[name] = runs
        elif first:
            same[name] = runs[0]
    return {"same": same, "each": each}


def rounded(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Numbers to DIGITS significant digits, each the nearest to its decimal text."""
    import numpy as np

    blocks = np.array_split(values, len(values) // BLOCK + 1)  # for the memory
    return np.concatenate([_rounded(block) for block in blocks])


def _rounded(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        places = DIGITS - 1 - np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(places), places, 0)
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    result: np.ndarray[Any, Any] = np.round(values * up / down) * down / up
    return result


def _short_all(values: list[Any]) -> list[Any]:
    """What was measured to DIGITS digits; lists of one shape, as those of a method's report are, all at once."""
    import numpy as np

    if all(isinstance(value, list) for value in values):
        try:
            numbers = np.array(values)
        except ValueError:  # of several shapes
            numbers = np.array(None)
        if numbers.dtype.kind == "f":
            return list(rounded(numbers.ravel()).reshape(numbers.shape).tolist())
    return list(map(_short, values))


def _short(value: Any) -> Any:
    if isinstance(value, list):
        return [_short(part) for part in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
