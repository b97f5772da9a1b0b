"""The best configuration of each study as a file, configs/<suite>/<method>/<task>.json, and runs that use it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import methods
from methods.errors import check

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from benchmarks.spec import Recipe, Spec
    from benchmarks.tuning.studies import Search

CONFIGS = "configs"
SAME = ("backbone", "data_fingerprint", "recipe")  # what a configuration was tuned for


def path(folder: Path, spec: Spec) -> Path:
    """Where the configuration of a method on a task is kept."""
    return folder / spec.suite / spec.method.replace(":", "-") / f"{spec.task}.json"


def write(folder: Path, search: Search, trial: FrozenTrial, trials: dict[str, int]) -> Path:
    """Write the configuration of a study's best trial, with all that says how it was found."""
    from benchmarks.executors import environment
    from benchmarks.files.writing import write_atomic

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
        "sampler": "TPE",
        "pruner": "median",
        **_conditions(search.base),
        "commit": environment()["commit"],
    }
    file = path(folder, search.base)
    write_atomic(file, json.dumps(found, indent=1) + "\n")
    return file


def apply(specs: Sequence[Spec], folder: Path) -> list[Spec]:
    """The same runs with the configurations that were tuned for them.

    Raises:
        ValueError: a run without one, or one that was tuned for another backbone, other data or another recipe.
    """
    absent = dict.fromkeys(f"{s.method} on {s.task}" for s in specs if not path(folder, s).exists())
    check(
        not absent,
        f"not tuned yet: {', '.join(list(absent)[:5])}{' ...' if len(absent) > 5 else ''}; make what is missing below "
        f"{folder} with python -m benchmarks.tune and the same options",
    )
    return [_tuned(spec, path(folder, spec)) for spec in specs]


def _tuned(spec: Spec, file: Path) -> Spec:
    from benchmarks.spec import Recipe

    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        config = methods.config(spec.method, found["config"])
        told = {name: found[name] for name in ("study", "trials", "split", "val_accuracy", "fixed", "search_seed")}
        conditions = {name: found[name] for name in SAME}
        conditions["recipe"] = _recipe(Recipe(**found["recipe"]))  # with the defaults of what it did not have yet
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"cannot read {file}: {error}; tune again, or take the file away") from None
    for name, now in _conditions(spec).items():
        check(
            conditions[name] == now,
            f"{file} was tuned with {name} {conditions[name]}, not {now}; tune for what you run",
        )
    return replace(spec, config=config, tuning=told)


def _conditions(spec: Spec) -> dict[str, Any]:
    """What must be the same."""
    digests = {"backbone": spec.backbone.sha256, "data_fingerprint": spec.data_fingerprint}
    return {**digests, "recipe": _recipe(spec.recipe)}


def _recipe(recipe: Recipe) -> dict[str, Any]:
    """All but the split, for tuning holds out what runs may train on."""
    return {k: v for k, v in asdict(recipe).items() if k not in ("train_split", "checkpoint_rule")}
