"""Options as people write them, turned into typed fields or into one clear line of error."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from methods.errors import UserError, unknown

T = TypeVar("T")

# The metadata of a dataclass field that was added after runs had been recorded: at its default it is left out of the
# JSON of specs, so that the keys of older records hold. That default must never change again.
LATER = types.MappingProxyType({"later": True})


def parse(cls: type[T], values: Mapping[str, object]) -> T:
    """Build a dataclass from names and values as a command line, YAML or JSON gives them.

    Raises:
        UserError: unknown field, wrong type, or a value out of range; the message says what is allowed.
    """
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    parsed = {}
    for name, value in values.items():
        if name not in names:
            raise UserError(unknown("option", name, names))
        parsed[name] = convert(name, value, hints[name])
    return cls(**parsed)


def convert(name: str, value: object, hint: Any) -> object:
    """Check ``value`` against the type of a field, taking ints for floats and lists for tuples."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if value in args:
            return value
        raise UserError(unknown(name, str(value), [str(a) for a in args]))
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise UserError(f"{name}={value!r} must be a list")
        return tuple(convert(name, item, args[0]) for item in items)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else convert(name, value, next(a for a in args if a is not type(None)))
    if hint is float:
        return _number(name, value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise UserError(f"{name}={value!r} must be of type {hint.__name__}")
    return value


def _number(name: str, value: object) -> float:
    try:  # YAML reads 1e-3 as text
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name}={value!r} must be a finite number")
    return number


def as_json(value: Any) -> dict[str, Any]:
    """A dataclass as nested dicts, without the fields marked LATER that are at their defaults."""
    values = dataclasses.asdict(value)
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if "later" in field.metadata and own == field.default:
            del values[field.name]
        elif dataclasses.is_dataclass(own):
            values[field.name] = as_json(own)
    return values
