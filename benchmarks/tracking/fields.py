"""What of a run goes where in MLflow: params, metrics and tags, from specs and records as JSON has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

KEY = "peft_bench.key"  # which spec a run is of
COMPLETE = "peft_bench.complete"  # set last of all: the digest of the record that is uploaded, or "sweep"
ORIGIN = "peft_bench.origin"  # which results folder a run is from, so that nobody else's is replaced
PARENT, COMMIT = "mlflow.parentRunId", "mlflow.source.git.commit"  # MLflow's own
PER_EPOCH = ("train_loss", "lr", "val_accuracy", "test_accuracy")
LONGEST = 5000  # characters of a value; MLflow allows 6000 for params

Values = Mapping[str, Any]


def flat(values: Values, mark: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings, named by their path."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, mark, f"{prefix}{name}{mark}")
        else:
            yield f"{prefix}{name}", value


def text(value: Any) -> str:
    """A value as a param or tag: JSON, but strings as they are; cut where MLflow would refuse it."""
    words = value if isinstance(value, str) else json.dumps(value)
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def name(spec: Values) -> str:
    """As people call the run."""
    return f"{spec['method']} on {spec['task']}, seed {spec['seed']}"


def params(spec: Values) -> dict[str, str]:
    """All that decides the number, flattened: config.rank, recipe.epochs, backbone.sha256."""
    return {name: text(value) for name, value in flat(spec, ".")}


def tags(key: str, spec: Values) -> dict[str, str]:
    """What a run is known by from its start."""
    named = {name: text(spec[name]) for name in ("method", "task", "suite", "seed")}
    backbone = spec["backbone"]
    return {KEY: key, **named, "backbone": backbone["name"].partition("@")[0], "modality": backbone["modality"]}


def outcome(record: Values) -> dict[str, str]:
    """The tags that a run has from its end."""
    environment = record["environment"]
    named = {name: text(environment.get(name, "")) for name in ("commit", "dirty", "device")}
    return {**named, COMMIT: named["commit"]}


def per_epoch(row: Values) -> dict[str, float]:
    """The metrics of one epoch, those that were measured."""
    return {name: float(row[name]) for name in PER_EPOCH if row.get(name) is not None}


def final(record: Values) -> dict[str, float]:
    """Accuracy, parameters and cost: accuracy/test, params/method, cost/step_ms/forward."""
    leaves = flat({part: record[part] for part in ("accuracy", "params", "cost")}, "/")
    return {name: float(v) for name, v in leaves if isinstance(v, int | float) and not isinstance(v, bool)}


def digest(record: Values) -> str:
    """16 hexadecimal digits of a record's content, whatever its file's layout."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]


def sweep(specs: Sequence[Values]) -> dict[str, str]:
    """The params of the run that a sweep's runs are nested under."""
    parts = {f"{part}s": _listed(spec[part] for spec in specs) for part in ("method", "task", "seed")}
    return {"runs": str(len(specs)), **parts}


def _listed(values: Iterable[Any]) -> str:
    return text(", ".join(str(value) for value in dict.fromkeys(values)))
