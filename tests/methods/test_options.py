"""Bounds on the fields of a dataclass, and the modality of a backbone."""

import dataclasses
import math
from typing import Annotated

import pytest

from methods.backbone import modality
from methods.errors import UserError
from methods.options import at_least, below, check_bounds, parse, positive
from tests.support import tiny


@dataclasses.dataclass(frozen=True, kw_only=True)
class First:
    size: Annotated[int, at_least(2), below(9)] = 4
    maybe: Annotated[int | None, at_least(1)] = None
    rate: Annotated[float, positive] = 0.5
    free: float = 0.0
    name: str = "x"

    def __post_init__(self):
        check_bounds(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Second(First):
    size: int = 5


@pytest.mark.parametrize("cls", [First, Second])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 1}, "size=1 must be at least 2"),
        ({"size": 9}, "size=9 must be below 9"),
        ({"maybe": 0}, "maybe=0 must be at least 1"),
        ({"rate": 0.0}, "rate=0.0 must be positive"),
        ({"rate": -1.0}, "rate=-1.0 must be positive"),
        ({"rate": math.nan}, "rate=nan must be positive"),
        ({"rate": math.inf}, "rate=inf must be a finite number that is not negative"),
        ({"maybe": 1_000_001}, "maybe=1000001 must be at most 1000000"),
        ({"free": -0.5}, "free=-0.5 must be a finite number that is not negative"),
        ({"free": math.nan}, "free=nan must be a finite number that is not negative"),
    ],
)
def test_a_number_out_of_its_bounds_is_refused(cls, values, message):
    with pytest.raises(UserError) as error:
        cls(**values)
    assert str(error.value) == message


@pytest.mark.parametrize("values", [{}, {"size": 2, "maybe": 1}, {"size": 8, "rate": 1e-9, "free": 1e30}])
def test_numbers_within_their_bounds_pass(values):
    assert dataclasses.asdict(First(**values)) == dataclasses.asdict(First()) | values


@pytest.mark.parametrize("value", ["1e-3", "3", True, 10**400, math.inf, math.nan, None])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(UserError, match=r"^rate=.* must be a finite number$"):
        parse(First, {"rate": value})


def test_text_becomes_the_type_inside_annotated():
    assert parse(First, {"size": 3, "maybe": 2, "rate": 1}) == First(size=3, maybe=2, rate=1.0)
    with pytest.raises(UserError, match=r"^size='many' must be of type int$"):
        parse(First, {"size": "many"})


@pytest.mark.parametrize("kind", tiny.MODALITIES)
def test_a_backbone_says_its_modality(kind):
    assert modality(tiny.backbone(kind)) == kind
