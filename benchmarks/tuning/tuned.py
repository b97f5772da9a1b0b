"""Stores the best configuration of each study in configs/<suite>/<method>/<task>.json, and makes runs that use it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

import methods
from benchmarks import suites
from benchmarks.cli import warn
from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import Recipe, Spec
from benchmarks.training.provenance import provenance
from benchmarks.tuning.space import Search
from methods.errors import UserError, check

CONFIGS = "configs"


def path(folder: Path, spec: Spec) -> Path:
    """Return the file that holds the tuned configuration of a method on a task."""
    return folder / spec.suite / spec.method.replace(":", "-") / f"{spec.task}.json"


def write(folder: Path, search: Search, trial: FrozenTrial, trials: dict[str, int]) -> Path:
    """Write the configuration of a study's best trial, and how it was found; ``trials`` counts them by state."""
    found = {
        "study": search.name,
        "method": search.base.method,
        "trials": search.trials,
        "states": trials,
        "split": "val",
        "val_accuracy": trial.value,
        "slot": trial.user_attrs["slot"],
        "config": trial.user_attrs["config"],
        "params": trial.params,
        "fixed": list(search.fixed),
        "search_seed": search.base.seed,
        "method_digest": search.base.method_digest,
        "sampler": "grid" if search.grid else "TPE",
        "pruner": "median",
        **_conditions(search.base, search.base.seed),
        "commit": provenance()["commit"],
    }
    file = path(folder, search.base)
    write_atomic(file, json.dumps(found, indent=1) + "\n")
    return file


def apply(specs: Sequence[Spec], folder: Path) -> list[Spec]:
    """Return the same runs with the configurations that were tuned for them, each once.

    Raises:
        UserError: a run has no tuned configuration, or it was tuned for another backbone, other data or another recipe.
    """
    absent = dict.fromkeys(f"{s.method} on {s.task}" for s in specs if not path(folder, s).exists())
    check(
        not absent,
        f"not tuned yet: {', '.join(list(absent)[:5])}{' ...' if len(absent) > 5 else ''}; run "
        f"python -m benchmarks.tune with the same options to fill {folder}",
    )
    found = [_tuned(spec, path(folder, spec)) for spec in specs]
    return list({spec.key: spec for spec in found}.values())  # options that were lists are one configuration now


def check_asked(method: str, names: Sequence[str], asked: Sequence[Spec], chosen: Sequence[Spec]) -> None:
    """Check that the studies of a method chose one of the values that are asked for.

    Raises:
        UserError: an option of a study has another value.
    """
    values = {name: [getattr(spec.config, name) for spec in asked if spec.method == method] for name in names}
    for spec in (spec for spec in chosen if spec.method == method):
        for name in names:
            found = getattr(spec.config, name)
            check(
                found in values[name],
                f"--tuned takes every option from a study, and that of {spec.method} on {spec.task} has "
                f"{name}={found}: leave out what is set for {method}, or tune with it",
            )


def _tuned(spec: Spec, file: Path) -> Spec:
    try:
        check_plain(file)
        found = json.loads(file.read_text(encoding="utf-8"))
        config = methods.config(spec.method, found["config"])
        tuning = {name: found[name] for name in ("study", "trials", "split", "val_accuracy", "fixed", "search_seed")}
        conditions = {name: found[name] for name in ("backbone", "data_fingerprint")}
        conditions["recipe"] = _recipe(Recipe(**found["recipe"]))  # defaults fill newer fields
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"cannot read {file}: {error}; tune again, or remove the file") from None
    for name, now in _conditions(spec, tuning["search_seed"]).items():
        check(
            conditions[name] == now,
            f"{file} was tuned with {name} {conditions[name]}, not {now}; tune for what you run",
        )
    if None not in (code := found.get("method_digest"), spec.method_digest) and code != spec.method_digest:
        warn(f"{file} was tuned with other code of '{spec.method}' than today's; tune again to search with today's")
    return replace(spec, config=config, tuning=tuning)


def _conditions(spec: Spec, search_seed: int) -> dict[str, Any]:
    """Return what must be the same when a tuned configuration is used.

    Where a suite draws training samples anew for every seed, a configuration that was found on the samples of
    ``search_seed`` serves all seeds.
    """
    suite, data = suites.get(spec.suite), spec.data_fingerprint
    if suite.data_seed(spec.seed) != suite.data_seed(search_seed):
        data = suite.of_seed(search_seed).fingerprint(spec.task)
    return {"backbone": spec.backbone.identity, "data_fingerprint": data, "recipe": _recipe(spec.recipe)}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe without its split and checkpoint rule: tuning always trains on the training split alone."""
    return {k: v for k, v in asdict(recipe).items() if k not in ("train_split", "checkpoint_rule")}
