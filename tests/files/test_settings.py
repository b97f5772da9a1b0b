"""Settings in YAML: which texts are numbers, what is refused, and that nothing is without an end."""

import math

import pytest

from benchmarks.files import settings
from methods.errors import UserError

VALUES = {
    "8": 8,
    "-8": -8,
    "0": 0,
    "640_000": 640_000,
    "1e-3": 0.001,
    "0.5": 0.5,
    ".5": 0.5,
    "5.": 5.0,
    "1e999": math.inf,
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "": None,
    "[1, two, 0.3]": [1, "two", 0.3],
    "{a: {b: [1]}}": {"a": {"b": [1]}},
    "{a: &x [1], b: *x}": {"a": [1], "b": [1]},
}
TEXTS = (
    "010",
    "1:30",
    "0x10",
    "0o10",
    "0b1",
    "1__0",
    "1_",
    "00.5",
    "yes",
    "no",
    "on",
    "off",
    "nan",
    ".inf",
    "2026-01-01",
    "1e",
)


@pytest.mark.parametrize("text", VALUES)
def test_a_value_has_its_type(text):
    value = settings.parse(text)
    assert (value, type(value)) == (VALUES[text], type(VALUES[text]))


@pytest.mark.parametrize("text", TEXTS)
def test_everything_else_is_a_text(text):
    assert settings.parse(text) == text


@pytest.mark.parametrize("text", ["8", "true", "null"])
def test_a_quoted_value_is_a_text(text):
    assert [settings.parse(f"{quote}{text}{quote}") for quote in "'\""] == [text, text]


def test_as_many_levels_and_values_as_are_allowed():
    deepest = "[" * settings.MOST_LEVELS + "]" * settings.MOST_LEVELS
    longest = "[" + "1," * (settings.MOST_VALUES - 1) + "]"
    assert settings.parse(deepest)
    assert len(settings.parse(longest)) == settings.MOST_VALUES - 1
    for text in (f"[{deepest}]", f"[{longest[1:-1]} 1]"):
        with pytest.raises(UserError, match="line 1: more than 20"):
            settings.parse(text)
