"""The command that trains a run of a record again."""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

import methods
from benchmarks import suites
from benchmarks.backbones.names import parse
from benchmarks.files import settings
from benchmarks.records.spec import Recipe, Spec
from benchmarks.suites import folder
from methods.options import as_json


def command(spec: Spec) -> str:
    """``python -m benchmarks.run`` with what the run's method, task, recipe and backbone have beside their defaults.

    DIR stands for the folder of a person's own files. A file of weights is named without its folder.
    """
    own = spec.suite not in suites.table()
    where = ["--suite", suites.FOLDER, "--data-root", f"DIR/{spec.suite}"] if own else ["--suite", spec.suite]
    words = [*where, "--tasks", spec.task, "--methods", spec.method, "--seeds", str(spec.seed)]
    recipe, backbone = _defaults(spec, own)
    name = parse(spec.backbone.name).elsewhere
    words += ["--backbone", name] * (name != backbone)
    words += _pairs("--set", as_json(spec.config), methods.defaults(spec.method), f"{spec.method}.")
    words += _pairs("--recipe", as_json(spec.recipe), as_json(Recipe(**recipe)))
    words += ["--dtype", spec.dtype]
    return "python -m benchmarks.run " + " ".join(map(shlex.quote, words))


def _defaults(spec: Spec, own: bool) -> tuple[dict[str, Any], str]:
    """The recipe of the suite for this task and backbone, and the suite's backbone."""
    kind, model = spec.backbone.modality, parse(spec.backbone.name).model
    if own:
        return folder.RECIPES[kind], folder.BACKBONES[kind]
    suite = suites.get(spec.suite)
    return suite.recipe(spec.task, model), suite.backbones[kind]


def _pairs(option: str, values: Mapping[str, Any], defaults: Mapping[str, Any], before: str = "") -> list[str]:
    """The option with NAME=VALUE for every value that is not the default; nothing if all are."""
    plain = json.loads(json.dumps(dict(defaults)))  # lists in place of tuples
    changed = {name: value for name, value in json.loads(json.dumps(dict(values))).items() if value != plain.get(name)}
    pairs = [f"{before}{name}={_text(value)}" for name, value in changed.items()]
    return [option, *pairs] if pairs else []


def _text(value: Any) -> str:
    """A value as YAML, which the command reads; words without quotes."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    word = isinstance(value, str) and re.fullmatch(r"[\w.-]+", value) and settings.parse(value) == value
    return str(value) if word else json.dumps(value, ensure_ascii=False)
