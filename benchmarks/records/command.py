"""The command that trains a recorded run again: every option, and what differs from the suite's recipe."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

from benchmarks import suites
from benchmarks.backbones.names import parse
from benchmarks.records.spec import Recipe


def command(spec: Mapping[str, Any]) -> str:
    """The command of the run that a record's spec describes; with ``--force`` it replaces the record.

    A suite that is not installed is taken for a folder of a person's own files with that name.
    """
    method, suite, task, backbone = spec["method"], spec["suite"], spec["task"], spec["backbone"]["name"]
    known = suite in suites.table()
    where = ["--suite", suite] if known else ["--suite", suites.FOLDER, "--data-root", suite]
    options = [f"{method}.{name}={_yaml(value)}" for name, value in spec["config"].items()]
    recipe = _recipe(json.dumps(spec["recipe"]), suite if known else "", task, backbone)
    words = [*where, "--tasks", task, "--methods", method, "--seeds", str(spec["seed"]), "--backbone", backbone]
    words += ["--dtype", spec["dtype"]]
    words += [*(("--set", *options) if options else ()), *(("--recipe", *recipe) if recipe else ())]
    return f"python -m benchmarks.run {shlex.join(words)}"


@cache  # records of one comparison have one recipe
def _recipe(text: str, suite: str, task: str, backbone: str) -> tuple[str, ...]:
    """The fields of a recipe that differ from what the suite says; all fields if there is no such suite or task."""
    recipe = json.loads(text)
    if not suite or task not in suites.get(suite).tasks:
        return tuple(f"{name}={_yaml(value)}" for name, value in recipe.items())
    usual = vars(Recipe(**suites.get(suite).recipe(task, parse(backbone).model)))  # type: ignore[arg-type]
    whole = vars(Recipe()) | recipe  # a record leaves newer fields out at their defaults
    return tuple(f"{name}={_yaml(value)}" for name, value in whole.items() if usual[name] != value)


def _yaml(value: Any) -> str:
    """A value as YAML. A list asks for one run per value, so a value that is a list becomes a list of one list."""
    return value if isinstance(value, str) else json.dumps([value] if isinstance(value, list | tuple) else value)
