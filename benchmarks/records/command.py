"""The command that trains a run of a record again."""

import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from typing import Any

import methods
from benchmarks import suites
from benchmarks.backbones.names import parse
from benchmarks.files import settings
from benchmarks.records.spec import Recipe
from benchmarks.suites import folder
from methods.errors import UserError
from methods.modality import Modality


def command(spec: Mapping[str, Any]) -> str:
    """``python -m benchmarks.run`` with what a record's spec has beside the defaults of method, suite and recipe.

    DIR stands for the folder of a person's own files. A file of weights is named without its folder.
    """
    names, backbone = ("method", "suite", "task", "seed", "dtype"), spec["backbone"]
    texts = json.dumps(spec["config"]), json.dumps(spec["recipe"])
    return assembled(*(spec[name] for name in names), backbone["name"], backbone["modality"], *texts)


def assembled(*of: Any) -> str:
    """The same from single values: method, suite, task, seed, dtype, backbone, modality, configuration and recipe.

    The last two are JSON. What many runs have in common is computed once.
    """
    method, suite, task, seed, dtype, backbone, modality, config, recipe = of
    what = f"{_suite(suite)} --tasks {shlex.quote(task)} --methods {shlex.quote(method)} --seeds {seed}"
    how = f"{_options(method, config)}{_recipe(recipe, suite, task, modality)}"
    return f"python -m benchmarks.run {what}{_backbone(suite, backbone, modality)}{how} --dtype {dtype}"


@cache
def _suite(suite: str) -> str:
    own = ["--suite", suites.FOLDER, "--data-root", f"DIR/{suite}"]
    return shlex.join(["--suite", suite] if suite in suites.table() else own)


@cache
def _backbone(suite: str, backbone: str, modality: Modality) -> str:
    usual = suites.get(suite).backbones.get(modality) if suite in suites.table() else folder.BACKBONES[modality]
    name = parse(backbone).elsewhere
    return "" if name == usual else f" --backbone {shlex.quote(name)}"


@cache
def _options(method: str, config: str) -> str:
    defaults: Mapping[str, Any] = {}
    with suppress(UserError):  # a method that is not installed
        defaults = methods.defaults(method)
    return _pairs("--set", json.loads(config), defaults, f"{method}.")


@cache
def _recipe(recipe: str, suite: str, task: str, modality: Modality) -> str:
    usual: Mapping[str, Any] = folder.RECIPES[modality]
    if suite in suites.table():
        known = suites.get(suite)
        usual = known.recipe(task) if task in known.tasks else known.recipes.get(modality, {})
    plain = vars(Recipe())  # a record leaves newer fields out at their defaults
    return _pairs("--recipe", {**plain, **json.loads(recipe)}, {**plain, **usual})


def _pairs(option: str, values: Mapping[str, Any], defaults: Mapping[str, Any], before: str = "") -> str:
    """The option with NAME=VALUE for every value that is not the default; nothing if all are."""
    plain = json.loads(json.dumps(dict(defaults)))  # lists in place of tuples
    pairs = [f"{before}{name}={_text(value)}" for name, value in values.items() if value != plain.get(name)]
    return f" {option} {shlex.join(pairs)}" if pairs else ""


def _text(value: Any) -> str:
    """A value as YAML, which the command reads; words without quotes."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    word = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value) and settings.parse(value) == value
    return str(value) if word else json.dumps(value, ensure_ascii=False)
