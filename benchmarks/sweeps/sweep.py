"""From what a user asks for to the list of runs: methods x options x recipes x tasks x seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import yaml

import methods
from benchmarks import backbones, suites
from benchmarks.files.root import Missing
from benchmarks.records.spec import Dtype, Recipe, Spec
from methods.base import Config
from methods.errors import UserError, check, unknown
from methods.options import parse

Options = Mapping[str, Any]
Dtypes = Dtype | Callable[[str], Dtype]  # one for all, or that of a backbone by its name


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A question in the user's words; an option given as a list is swept over, as is a list of sets of options."""

    methods: tuple[str, ...] = ("adapterx", "lora")
    suite: str = "offline"
    tasks: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    set: Mapping[str, Options | Sequence[Options]] = field(default_factory=dict)
    recipe: Options = field(default_factory=dict)


def from_file(path: Path) -> Sweep:
    """Read a sweep from YAML with the fields of Sweep.

    Raises:
        UserError: no YAML mapping, or an unknown or mistyped field.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read config {path}: {error}") from None
    check(isinstance(values, dict), f"config {path} must be a mapping with some of: {', '.join(_names())}")
    return merged(Sweep(), values, f"config {path}")


def merged(sweep: Sweep, values: Mapping[str, Any], where: str) -> Sweep:
    """``sweep`` with some fields replaced; scalars stand for lists of one."""
    changes: dict[str, Any] = {}
    for name, value in values.items():
        check(name in _names(), f"{where}: {unknown('field', str(name), _names())}")
        if name in ("set", "recipe"):
            check(isinstance(value, dict), f"{where}: '{name}' must be a mapping, not {value!r}")
            for method, given in value.items() if name == "set" else ():
                fine = all(isinstance(one, dict) for one in (given if isinstance(given, list) else [given]))
                check(fine, f"{where}: options set for '{method}' must be a mapping or a list of them, not {given!r}")
            changes[name] = value
        elif name == "suite":
            check(isinstance(value, str), f"{where}: 'suite' must be one name, not {value!r}")
            changes[name] = value
        else:
            items = tuple(value) if isinstance(value, (list, tuple)) else (value,)
            kind = int if name == "seeds" else str
            wrong = [item for item in items if not isinstance(item, kind) or isinstance(item, bool)]
            check(not wrong, f"{where}: '{name}' takes {kind.__name__} values, not {wrong}")
            changes[name] = items
    return replace(sweep, **changes)


def assignments(texts: Sequence[str], option: str) -> dict[str, Any]:
    """``["epochs=20"]`` to ``{"epochs": 20}``; values are YAML, so [4, 8] is a list.

    Raises:
        UserError: a text without '=' or with a value that is no YAML.
    """
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        check(bool(equals and name and value), f"{option} {text}: give NAME=VALUE")
        try:
            pairs[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise UserError(f"{option} {text}: the value '{value}' is no YAML scalar or list") from None
    return pairs


def method_options(pairs: Options) -> dict[str, dict[str, Any]]:
    """``{"lora.rank": 16}`` to ``{"lora": {"rank": 16}}``."""
    nested: dict[str, dict[str, Any]] = {}
    for name, value in pairs.items():
        method, dot, option = name.rpartition(".")
        check(bool(dot), f"--set {name}: give METHOD.OPTION=VALUE, as in lora.rank=16")
        nested.setdefault(method, {})[option] = value
    return nested


def joined(first: Options | Sequence[Options], more: Options) -> Options | Sequence[Options]:
    """Options, or every one of some sets of options, with more options that win."""
    return [{**one, **more} for one in first] if isinstance(first, Sequence) else {**first, **more}


def specs(sweep: Sweep, dtype: Dtypes, *, absent: bool = False) -> list[Spec]:
    """Every run of a sweep, each once: seeds outermost, so that a whole table is there early.

    A method runs on the tasks of its modalities and is left out on the others. With ``absent``, data and weights that
    are not here yet get ABSENT in the place of their digest: enough to plan with, and no record's.

    Raises:
        UserError: an unknown name, an option or value that is not allowed, a named method that fits none of the tasks.
    """
    suite = suites.get(sweep.suite)
    names = list(methods.table()) if sweep.methods == ("all",) else list(dict.fromkeys(sweep.methods))
    tasks = list(sweep.tasks) or list(suite.tasks)
    for task in tasks:
        check(task in suite.tasks, f"suite {suite.name}: {unknown('task', task, suite.tasks)}")
    allowed = {name: methods.get(name).modalities for name in names}
    if sweep.methods != ("all",):
        for name in names:
            _check_modality(name, suite, tasks)
    for name in sweep.set:
        check(name in names, f"options set for '{name}', which is not among the methods: {', '.join(names)}")
    chosen = dict(suite.backbones) | {backbones.modality(name): name for name in sweep.backbone}
    # data first: they are looked for faster than weights
    prints = {task: (_fingerprint_or_absent(suite, task) if absent else suite.fingerprint(task)) for task in tasks}
    source = backbones.source_or_absent if absent else backbones.source
    sources = {kind: source(chosen[kind]) for kind in {suite.tasks[task].modality for task in tasks}}
    _check_weights(sources.values(), names)
    configs = {name: list(_configs(name, sweep.set.get(name, {}))) for name in names}
    planned: dict[str, Spec] = {}
    for seed, task, name in itertools.product(sweep.seeds, tasks, names):
        kind = suite.tasks[task].modality
        check(seed >= 0, f"seed {seed} must not be negative")
        if kind not in allowed[name]:
            continue
        for config, recipe in itertools.product(configs[name], _recipes(suite.recipes[kind], sweep.recipe)):
            spec = Spec(
                method=name,
                config=config,
                backbone=sources[kind],
                suite=suite.name,
                task=task,
                classes=suite.tasks[task].classes,
                data_fingerprint=prints[task],
                recipe=recipe,
                seed=seed,
                dtype=dtype if isinstance(dtype, str) else dtype(sources[kind].name),
            )
            planned[spec.key] = spec
    return list(planned.values())


def _fingerprint_or_absent(suite: suites.Suite, task: str) -> str:
    try:
        return suite.fingerprint(task)
    except Missing:
        return backbones.ABSENT


def _check_modality(name: str, suite: suites.Suite, tasks: Sequence[str]) -> None:
    """Refuse a method that was asked for by name when none of the tasks is of a modality that it works on."""
    allowed = methods.get(name).modalities
    kinds = {suite.tasks[task].modality for task in tasks}
    fitting = [task.name for task in suite.tasks.values() if task.modality in allowed]
    check(
        not kinds.isdisjoint(allowed),
        f"method '{name}' works on {' and '.join(sorted(allowed))} only, and the tasks asked for are of "
        f"{' and '.join(sorted(kinds))}: {', '.join(tasks)}; "
        f"tasks of suite {suite.name} for it: {', '.join(fitting) or 'none'}",
    )


def _check_weights(sources: Iterable[backbones.Source], names: Sequence[str]) -> None:
    """Refuse an architecture that comes without weights to methods that start from some."""
    for source in sources:
        needing = [n for n in names if methods.get(n).pretrained and source.modality in methods.get(n).modalities]
        check(
            source.sha256 != backbones.RANDOM or not needing,
            f"backbone '{source.name}' has no weights of its own to start from with {', '.join(needing[:3])}; give a "
            f"local file with --backbone {source.name}@FILE",
        )


def _configs(name: str, options: Options | Sequence[Options]) -> Iterator[Config]:
    for choices in options if isinstance(options, Sequence) else [options]:
        for choice in _choices(choices, get_type_hints(methods.get(name).Config)):
            yield methods.config(name, choice)


def _recipes(default: Options, options: Options) -> Iterator[Recipe]:
    for choice in _choices(options, get_type_hints(Recipe)):
        try:
            yield parse(Recipe, {**default, **choice})
        except UserError as error:
            raise UserError(f"recipe: {error}") from None


def _choices(options: Options, hints: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The product over all options given as lists; for a field that is itself a list, a list of lists."""
    spread = []
    for name, value in options.items():
        own_list = get_origin(hints.get(name)) is tuple and not (
            isinstance(value, list) and any(isinstance(item, list) for item in value)
        )
        spread.append(value if isinstance(value, list) and not own_list else [value])
    for combination in itertools.product(*spread):
        yield dict(zip(options, combination, strict=True))


def _names() -> list[str]:
    return [f.name for f in fields(Sweep)]
