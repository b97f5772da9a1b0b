"""Settings in YAML: texts, numbers, true, false, null, lists and mappings, each key once, and nothing without an end.

A plain scalar is a number only as YAML 1.2 writes decimal numbers, so 1:30, 010 and 0x10 are texts, and so are yes and
no. Numbers may have underscores, as in 640_000. Tags are refused. Aliases (*name) count as often as they are used.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from benchmarks.files.places import check_plain
from methods.errors import UserError, check

MOST_CHARACTERS, MOST_LEVELS, MOST_VALUES = 100_000, 20, 20_000
INT = re.compile("[-+]?(0|[1-9](_?[0-9]){0,39})")
FLOAT = re.compile(r"[-+]?((0|[1-9](_?[0-9])*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
TEXT, LIST, MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


def read(path: Path) -> Any:
    """The settings of a YAML file.

    Raises:
        UserError: it cannot be read, is no text, too long, or no plain YAML.
    """
    check_plain(path)
    try:
        with path.open("rb") as file:
            return parse(file.read(4 * MOST_CHARACTERS + 1).decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"cannot read {path}: no text in UTF-8: {error.reason} at byte {error.start}") from None
    except UserError as error:
        raise UserError(f"cannot read {path}: {error}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def parse(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        UserError: it is no YAML, or none that is plain and has an end.
    """
    check(len(text) <= MOST_CHARACTERS, f"longer than {MOST_CHARACTERS:,} characters; divide it")
    try:
        _check_levels(text)
        node = yaml.compose(text, yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise UserError(" ".join(str(error).split())) from None
    return None if node is None else _value(node, 1, iter(range(MOST_VALUES)))


def _check_levels(text: str) -> None:
    """Refuse deep nesting before ``yaml.compose`` follows it, one call per level."""
    level = 0
    for event in cast("Iterator[Any]", yaml.parse(text, yaml.BaseLoader)):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        check(level <= MOST_LEVELS, f"line {event.start_mark.line + 1}: more than {MOST_LEVELS} levels of nesting")


def _value(node: Any, level: int, left: Iterator[int]) -> Any:
    line = f"line {node.start_mark.line + 1}"
    # aliases make a node part of others, or of itself
    check(level <= MOST_LEVELS, f"{line}: more than {MOST_LEVELS} levels of nesting")
    check(next(left, None) is not None, f"{line}: more than {MOST_VALUES:,} values; aliases (*name) count each time")
    if isinstance(node, yaml.SequenceNode) and node.tag == LIST:
        return [_value(item, level + 1, left) for item in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == MAPPING:
        return _mapping(node, level, left)
    check(isinstance(node, yaml.ScalarNode) and node.tag == TEXT, f"{line}: the tag {node.tag} is not allowed")
    return _scalar(node.value) if node.style is None else node.value


def _mapping(node: yaml.MappingNode, level: int, left: Iterator[int]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        name, line = _value(key, level + 1, left), f"line {key.start_mark.line + 1}"
        check(isinstance(name, str), f"{line}: the key {name!r} is no text; quote it if it is a name")
        check(name not in found, f"{line}: the key '{name}' is there twice")
        found[name] = _value(value, level + 1, left)
    return found


def _scalar(text: str) -> Any:
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INT.fullmatch(text):
        return int(text)
    return float(text) if FLOAT.fullmatch(text) else text
