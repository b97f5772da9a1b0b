"""Options as people write them get the types of their fields and are checked against bounds."""

import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Annotated, Any, Literal, TypeVar

from methods.errors import UserError, check, unknown

T = TypeVar("T")

# The metadata of a dataclass field that was added after runs had been recorded. The JSON of a spec leaves such a field
# out while it has its default, so the keys of older records hold. That default must never change again.
LATER = types.MappingProxyType({"later": True})


@dataclasses.dataclass(frozen=True)
class Bound:
    """A bound that the annotation of a field gives: ``rank: Annotated[int, at_least(1)] = 8``.

    ``text`` completes the error "rank=0 ...".
    """

    compare: Callable[[float, float], bool]
    limit: float
    text: str

    def holds(self, value: float) -> bool:
        """Whether the value is within this bound."""
        return self.compare(value, self.limit)


def at_least(limit: int) -> Bound:
    """The bound value >= limit."""
    return Bound(operator.ge, limit, f"must be at least {limit}")


def at_most(limit: int) -> Bound:
    """The bound value <= limit."""
    return Bound(operator.le, limit, f"must be at most {limit}")


def below(limit: int) -> Bound:
    """The bound value < limit."""
    return Bound(operator.lt, limit, f"must be below {limit}")


positive = Bound(operator.gt, 0, "must be positive")
fraction = below(1)  # with the rule that no number is negative: from 0 up to, but not including, 1
FINITE = "must be a finite number that is not negative"
MOST = 1_000_000  # for whole numbers whose field has no upper bound of its own: larger ones are mistakes


def check_bounds(instance: Any) -> None:
    """Check every number of a dataclass: its field's bounds, that it is finite and not negative, and at most MOST.

    A field that is None passes.

    Raises:
        UserError: the first number that is out of its bounds; the message says what is allowed.
    """
    cls: type = type(instance)
    for name, bounds in _bounds(cls).items():
        value = getattr(instance, name)
        if isinstance(value, (int, float)):
            for bound in bounds:
                check(bound.holds(value), f"{name}={value} {bound.text}")
            check(0 <= value < math.inf, f"{name}={value} {FINITE}")
            bounded = isinstance(value, float) or any(bound.compare in (operator.le, operator.lt) for bound in bounds)
            check(bounded or value <= MOST, f"{name}={value} must be at most {MOST}")


@cache
def _bounds(cls: type) -> dict[str, tuple[Bound, ...]]:
    """The bounds of every field. A class that gives a field another default keeps the bounds of its bases."""
    found: dict[str, dict[Bound, None]] = {field.name: {} for field in dataclasses.fields(cls)}
    for base in filter(dataclasses.is_dataclass, cls.__mro__):
        hints = typing.get_type_hints(base, include_extras=True)
        for name in found.keys() & hints.keys():
            if typing.get_origin(hints[name]) is Annotated:
                found[name] |= {bound: None for bound in hints[name].__metadata__ if isinstance(bound, Bound)}
    return {name: tuple(bounds) for name, bounds in found.items()}


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
    """Give a value the type of its field: an int becomes a float, and a list becomes a tuple.

    Raises:
        UserError: the value is not of that type.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return convert(name, value, args[0])
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
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number of more than 308 digits
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name}={value!r} must be a finite number")
    return number


def as_json(value: Any) -> dict[str, Any]:
    """A dataclass as nested dicts. A field marked LATER is left out while it has its default."""
    values = dataclasses.asdict(value)
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if "later" in field.metadata and own == field.default:
            del values[field.name]
        elif dataclasses.is_dataclass(own):
            values[field.name] = as_json(own)
    return values
