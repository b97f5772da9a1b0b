"""From a sweep, as a person asks for it, to the list of its runs: methods x options x recipes x tasks x seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice, product
from pathlib import Path
from typing import Any

import methods
from benchmarks import backbones, suites
from benchmarks.files import settings
from benchmarks.files.root import Missing
from benchmarks.records.spec import Dtype, Spec
from benchmarks.sweeps import fitting, grid
from benchmarks.sweeps.grid import Options
from methods.errors import UserError, check, check_known
from methods.source import digest

Dtypes = Dtype | Callable[[str], Dtype]  # one for all runs, or a function of the backbone's name


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """The runs that a person asks for.

    ``set`` has the options of each method, and ``recipe`` the fields of the recipe. ``recipes`` has the fields of a
    method's own recipe, in place of those of ``recipe``. A list of values for an option or a field is swept over. So is
    a list of sets of options for a method. Empty ``tasks`` mean all tasks of the suite, and an empty ``backbone`` means
    the suite's own.
    """

    methods: tuple[str, ...] = ("adapterx", "lora")
    suite: str = "offline"
    tasks: tuple[str, ...] = ()
    backbone: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    set: Mapping[str, Options | Sequence[Options]] = field(default_factory=dict)
    recipe: Options = field(default_factory=dict)
    recipes: Mapping[str, Options] = field(default_factory=dict)


FIELDS = tuple(f.name for f in fields(Sweep))


def from_file(path: Path) -> Sweep:
    """Read a sweep from a YAML file with the fields of Sweep.

    Raises:
        UserError: the file is no YAML mapping, or a field is unknown or has a value of another type.
    """
    values = settings.read(path)
    check(isinstance(values, dict), f"config {path} must be a YAML mapping with some of: {', '.join(FIELDS)}")
    return merged(Sweep(), values, f"config {path}")


def merged(sweep: Sweep, values: Mapping[str, Any], where: str) -> Sweep:
    """``sweep`` with some fields replaced; one value stands for a list of one value.

    Raises:
        UserError: a field is unknown or has a value of another type; the message starts with ``where``.
    """
    changes: dict[str, Any] = {}
    for name, value in values.items():
        check_known("field", str(name), FIELDS, f"{where}: ")
        changes[name] = value
        if name in ("set", "recipe", "recipes"):
            check(isinstance(value, dict), f"{where}: '{name}' must be a mapping, not {value!r}")
            for method, given in value.items() if name != "recipe" else ():
                listed = given if name == "set" and isinstance(given, list) else [given]
                what = "options set" if name == "set" else "the recipe"
                form = "a mapping or a list of them" if name == "set" else "a mapping"
                fine = all(isinstance(one, dict) for one in listed)
                check(fine, f"{where}: {what} for '{method}' must be {form}, not {given!r}")
        elif name == "suite":
            check(isinstance(value, str), f"{where}: 'suite' must be one name, not {value!r}")
        else:
            changes[name] = items = tuple(value) if isinstance(value, (list, tuple)) else (value,)
            kind, many = (int, "whole numbers") if name == "seeds" else (str, "names")
            wrong = [item for item in items if not isinstance(item, kind) or isinstance(item, bool)]
            check(not wrong, f"{where}: '{name}' takes {many}, not {', '.join(map(repr, wrong))}")
    return replace(sweep, **changes)


def assignments(texts: Sequence[str], option: str) -> dict[str, Any]:
    """``["epochs=20"]`` becomes ``{"epochs": 20}``. Values are YAML, so [4, 8] is a list.

    Raises:
        UserError: a text has no '=', its value is not YAML, or a name comes twice.
    """
    pairs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        check(bool(equals and name and value), f"{option} {text}: give NAME=VALUE")
        check(name not in pairs, f"{option} {text}: {name} is given twice; give one value, or a list as in [A, B]")
        try:
            pairs[name] = settings.parse(value)
        except UserError as error:
            raise UserError(f"{option} {text}: no YAML value: {error}; quote it, or give [A, B]") from None
    return pairs


def method_options(pairs: Options) -> dict[str, dict[str, Any]]:
    """``{"lora.rank": 16}`` becomes ``{"lora": {"rank": 16}}``.

    Raises:
        UserError: a name has no method before the dot.
    """
    nested: dict[str, dict[str, Any]] = {}
    for name, value in pairs.items():
        method, dot, option = name.rpartition(".")
        check(bool(dot), f"--set {name}: give METHOD.OPTION=VALUE, as in lora.rank=16")
        nested.setdefault(method, {})[option] = value
    return nested


def of_methods(sweep: Sweep, names: Sequence[str]) -> Sweep:
    """The sweep of these methods. What it says about other methods is left out."""
    kept: dict[str, Any] = {
        part: {method: own for method, own in getattr(sweep, part).items() if method in names or "all" in names}
        for part in ("set", "recipes")
    }
    return replace(sweep, methods=tuple(names), **kept)


def with_recipe(sweep: Sweep, fields: Options) -> Sweep:
    """The sweep with these fields in the recipes of all methods."""
    own = {method: {k: v for k, v in one.items() if k not in fields} for method, one in sweep.recipes.items()}
    return replace(sweep, recipe={**sweep.recipe, **fields}, recipes=own)


def joined(first: Options | Sequence[Options], more: Options) -> Options | Sequence[Options]:
    """A set of options, or every set of a list, with the options of ``more`` in place of its own."""
    return [{**one, **more} for one in first] if isinstance(first, Sequence) else {**first, **more}


def specs(sweep: Sweep, dtype: Dtypes, *, absent: bool = False) -> list[Spec]:
    """The runs of a sweep without repetition. Seeds come outermost, so that a whole table is finished early.

    A method runs on the tasks of its modalities. With ``absent``, missing data and weights do not raise: ABSENT stands
    for their digests. Such specs are enough for a plan, but they cannot be trained or recorded.

    Raises:
        UserError: a name is unknown, an option or value is not allowed or does not fit the backbone, a method or
            backbone that was asked for by name fits none of the tasks, or there are too many runs.
    """
    suite, names, tasks = named(sweep)
    by_name = sweep.methods != ("all",)
    for name in names if by_name else ():
        fitting.check_modality(name, suite, tasks)
    kinds = {task: suite.tasks[task].modality for task in tasks}
    chosen = fitting.chosen(sweep.backbone, suite, set(kinds.values()))
    configs = {name: list(islice(grid.configs(name, sweep.set.get(name, {})), grid.MOST_RUNS + 1)) for name in names}
    recipes = {
        (task, name): list(
            grid.recipes(
                suite.recipe(task),
                {**sweep.recipe, **sweep.recipes.get(name, {})},
            )
        )
        for task, name in product(tasks, names)
    }
    cells = [(task, name) for task in tasks for name in names if kinds[task] in methods.get(name).modalities]
    grid.check_runs(len(sweep.seeds) * sum(len(configs[name]) * len(recipes[task, name]) for task, name in cells))
    # data before weights, because missing data are found faster
    drawn = {suite.data_seed(seed): suite.of_seed(seed) for seed in sweep.seeds}
    prints = {
        (seed, task): _fingerprint_or_absent(own, task) if absent else own.fingerprint(task)
        for (seed, own), task in product(drawn.items(), tasks)
    }
    digested = backbones.source_or_absent if absent else backbones.source
    sources = {kind: digested(name) for kind, name in chosen.items()}
    few = fitting.with_few_points(suite, tasks, chosen)
    check(not few, "; ".join(few))
    fitting.check_weights(sources.values(), names)
    wired = {
        (kind, name): fitting.wired(name, configs[name], source, by_name=by_name)
        for (kind, source), name in product(sources.items(), names)
    }
    planned: dict[str, Spec] = {}
    for seed, (task, name) in product(sweep.seeds, cells):
        kind = kinds[task]
        for config, recipe in product(wired[kind, name], recipes[task, name]):
            fitting.check_kind(suite.tasks[task], name, config, recipe)
            fitting.check_pace(name, config, sources[kind], recipe)
            spec = Spec(
                method=name,
                config=config,
                backbone=backbones.framed(sources[kind], recipe.resize),
                suite=suite.name,
                suite_version=suite.version,
                task=task,
                classes=suite.tasks[task].classes,
                labels=suite.tasks[task].labels,
                method_digest=digest(methods.get(name)),
                data_fingerprint=prints[suite.data_seed(seed), task],
                recipe=recipe,
                seed=seed,
                dtype=dtype if isinstance(dtype, str) else dtype(sources[kind].name),
                kind=suite.tasks[task].kind.name,
            )
            planned[spec.key] = spec
    return list(planned.values())


def named(sweep: Sweep) -> tuple[suites.Suite, list[str], list[str]]:
    """The suite of a sweep, and its methods and tasks by name, each once. This needs no torch, so it is quick.

    Raises:
        UserError: a name is unknown, or a file of weights is missing.
    """
    names, suite = _methods(sweep), suites.get(sweep.suite)
    tasks = list(dict.fromkeys(sweep.tasks)) or list(suite.tasks)
    for task in tasks:
        check_known("task", task, suite.tasks, f"suite {suite.name}: ")
    for backbone in sweep.backbone:
        backbones.modality(backbone)
        backbones.weights_path(backbone)
    return suite, names, tasks


def _methods(sweep: Sweep) -> list[str]:
    """The methods by name, each once; options may be set only for these."""
    names = list(methods.table()) if sweep.methods == ("all",) else list(dict.fromkeys(sweep.methods))
    for name in names:
        methods.check_name(name)
    for name in sweep.set:
        check(name in names, f"options set for '{name}', which is not among the methods: {', '.join(names)}")
    for name in sweep.recipes:
        check(name in names, f"a recipe for '{name}', which is not among the methods: {', '.join(names)}")
    return names


def _fingerprint_or_absent(suite: suites.Suite, task: str) -> str:
    try:
        return suite.fingerprint(task)
    except Missing:
        return backbones.ABSENT
