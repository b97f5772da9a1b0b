"""Pickles of plain data (numbers, texts, lists, tuples, dicts, numpy arrays), read without running what they name.

A pickle is a program: it names functions and has them called. Here every name is looked up in ``STAND_INS``, whose
entries only decode bytes. Not even numpy's own functions are called: a crafted state can make them take bytes for
pointers.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.cli import progress
from benchmarks.files.places import check_plain
from methods.errors import UserError

BROKEN = (
    pickle.UnpicklingError,
    *(EOFError, AttributeError, ImportError, LookupError, TypeError, ValueError, ArithmeticError),
    *(MemoryError, RecursionError),
)
PLAIN = (bool, int, float, str, bytes, type(None))


class Kind:
    """Stands in for a numpy.dtype: numbers of a fixed size, never objects or records."""

    def __init__(self, code: str, *unused: object) -> None:
        if not re.fullmatch(r"[<>=|]?(\?|[biuf]\d{0,2})", code):
            raise pickle.UnpicklingError(f"it holds an array of dtype {code!r}, which is no plain number")
        self.dtype: np.dtype[Any] = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *compound = state[:5]
        if any(part is not None for part in compound):
            raise pickle.UnpicklingError("it holds an array of records")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class Array:
    """Stands in for a numpy.ndarray until its state is read."""

    values: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], Kind, bool, bytes]) -> None:
        _, shape, kind, fortran, raw = state
        self.values = _decoded(raw, kind, shape, "F" if fortran else "C")


def _decoded(raw: bytes, kind: Kind, shape: tuple[int, ...], order: str) -> NDArray[Any]:
    if not isinstance(raw, (bytes, bytearray)) or not isinstance(kind, Kind):
        raise pickle.UnpicklingError("it holds an array that is not given as bytes")
    return np.frombuffer(raw, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _buffer(raw: bytes, kind: Kind, shape: tuple[int, ...], order: str) -> Array:
    array = Array()
    array.values = _decoded(raw, kind, shape, order)
    return array


def _scalar(kind: Kind, raw: bytes) -> int | float | bool:
    return cast("int | float | bool", _decoded(raw, kind, (1,), "C")[0].item())


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin1")


_NUMPY: dict[str, Callable[..., Any]] = {
    "multiarray._reconstruct": lambda *unused: Array(),
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": _buffer,
}
STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy.dtype": Kind,
    "numpy.ndarray": Array,
    "_codecs.encode": _latin1,  # how older protocols write bytes
    "__builtin__.bytes": lambda: b"",  # how they write b""
    **{f"numpy.{core}.{name}": stand_in for core in ("core", "_core") for name, stand_in in _NUMPY.items()},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        found = STAND_INS.get(f"{module}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found


def load(path: Path) -> Any:
    """The data of one pickle.

    Raises:
        UserError: the file cannot be read or is damaged, or holds more than plain data, which is not run.
    """
    check_plain(path)
    try:
        with progress() as bar, bar.open(path, "rb", description=f"reading {path.name}") as file:
            return _plain(_Unpickler(file).load(), {})
    except (OSError, *BROKEN) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"refused {path}: it is no whole pickle of plain arrays and lists: {reason}") from None


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """The same value with arrays in place of their stand-ins. ``done`` has the results for what was seen before: a list
    that holds another one ten times, which holds a third ten times, and so on, would take for ever.
    """
    if type(value) in PLAIN:
        return value
    if id(value) not in done:
        done[id(value)] = _converted(value, done)
    return done[id(value)]


def _converted(value: Any, done: dict[int, Any]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(_plain(item, done) for item in value)
    if type(value) is dict:
        return {_plain(key, done): _plain(item, done) for key, item in value.items()}
    if isinstance(value, Array) and value.values is not None:
        return value.values
    raise pickle.UnpicklingError(f"it holds a {type(value).__name__}")
