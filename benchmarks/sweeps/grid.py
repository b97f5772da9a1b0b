"""Every combination of options: a list of values for an option means one configuration per value."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

import methods
from benchmarks.records.spec import Recipe
from methods.errors import UserError, check
from methods.options import parse

if TYPE_CHECKING:
    from methods.base import Config

Options = Mapping[str, Any]
MOST_RUNS = 100_000


def configs(method: str, options: Options | Sequence[Options]) -> Iterator[Config]:
    """The configurations of a method for one set of options, or for a list of such sets.

    Raises:
        UserError: an option is unknown, or its value is not allowed.
    """
    hints = get_type_hints(methods.get(method).Config)
    for one_set in options if isinstance(options, Sequence) else [options]:
        for choice in _combinations(one_set, hints):
            yield methods.config(method, choice)


def recipes(default: Options, options: Options) -> Iterator[Recipe]:
    """The recipes of a suite's default fields with ``options`` in their place.

    Raises:
        UserError: a field is unknown, or its value is not allowed.
    """
    for choice in _combinations(options, get_type_hints(Recipe)):
        try:
            yield parse(Recipe, {**default, **choice})
        except UserError as error:
            raise UserError(f"recipe: {error}") from None


def _combinations(options: Options, hints: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The product of all lists. For a field that is itself a list, only a list of lists is swept over."""
    spread = []
    for name, value in options.items():
        is_list = isinstance(value, list)
        if is_list and get_origin(hints.get(name)) is tuple:
            is_list = any(isinstance(item, list) for item in value)
        spread.append(value if is_list else [value])
        check(not is_list or bool(value), f"{name}=[] has no value to run; give one, or leave {name} out")
    check_runs(math.prod(map(len, spread)))
    for combination in itertools.product(*spread):
        yield dict(zip(options, combination, strict=True))


def check_runs(count: int) -> None:
    """Refuse more runs than anybody waits for, before they are listed.

    Raises:
        UserError: there are more than MOST_RUNS.
    """
    check(
        count <= MOST_RUNS,
        f"this asks for {count:,} runs, but at most {MOST_RUNS:,} can be asked for; give fewer values",
    )
