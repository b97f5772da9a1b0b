"""Maps specs and records, as parsed from JSON, to the params, metrics and tags of MLflow."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.backbones.names import parse

STUDY, SLOT = "peft_bench.study", "peft_bench.slot"  # the name of a study, and the place of a trial in it
KEY = "peft_bench.key"  # the key of the run's spec
COMPLETE = "peft_bench.complete"  # the last tag to be set: the digest of the record, or "sweep"
ORIGIN = "peft_bench.origin"  # the run's results folder: only runs of the same folder are replaced
PARENT, COMMIT = "mlflow.parentRunId", "mlflow.source.git.commit"  # MLflow's own tags
PER_EPOCH = ("train_loss", "lr", "val_accuracy", "test_accuracy")
LONGEST_DIGEST = 36  # characters that MLflow allows
LONGEST = 5000  # characters per value; MLflow allows 6000 for params

Values = Mapping[str, Any]


def flat(values: Values, mark: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under their path, whose parts are joined by ``mark``."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, mark, f"{prefix}{name}{mark}")
        else:
            yield f"{prefix}{name}", value


def text(value: Any) -> str:
    """Return a value as a param or tag: a string as it is, any other value as JSON, cut to LONGEST characters."""
    words = value if isinstance(value, str) else json.dumps(value)
    return words if len(words) <= LONGEST else words[: LONGEST - 1] + "…"


def name(spec: Values) -> str:
    """Return the name of a run that MLflow shows."""
    return f"{spec['method']} on {spec['task']}, seed {spec['seed']}"


def params(spec: Values) -> dict[str, str]:
    """Return the params of a run: every field of its spec, such as config.rank, recipe.epochs, backbone.sha256."""
    return {name: text(value) for name, value in flat(spec, ".")}


def tags(key: str, spec: Values) -> dict[str, str]:
    """Return the tags that a run has from its start."""
    named = {name: text(spec[name]) for name in ("method", "task", "suite", "seed")}
    backbone = spec["backbone"]
    return {KEY: key, **named, "backbone": parse(backbone["name"]).plain, "modality": backbone["modality"]}


def outcome(record: Values) -> dict[str, str]:
    """Return the tags that a run gets at its end."""
    environment = record["environment"]
    named = {name: text(environment.get(name, "")) for name in ("commit", "dirty", "device")}
    return {**named, COMMIT: named["commit"]}


def per_epoch(row: Values) -> dict[str, float]:
    """Return the metrics of one epoch that were measured."""
    return {name: float(row[name]) for name in PER_EPOCH if row.get(name) is not None}


def final(record: Values) -> dict[str, float]:
    """Return the final metrics, such as accuracy/test, params/method, cost/step_ms/forward."""
    leaves = flat({part: record[part] for part in ("accuracy", "params", "cost")}, "/")
    return {name: float(v) for name, v in leaves if isinstance(v, int | float) and not isinstance(v, bool)}


def sweep(specs: Sequence[Values]) -> dict[str, str]:
    """Return the params of a sweep's own run, which is the parent of the sweep's other runs in MLflow."""
    named = {f"{part}s": dict.fromkeys(str(spec[part]) for spec in specs) for part in ("method", "task", "seed")}
    return {"runs": str(len(specs)), **{name: text(", ".join(values)) for name, values in named.items()}}


def data(spec: Values) -> dict[str, str]:
    """Return what MLflow keeps of a run's data: the task, and the start of the fingerprint as its digest."""
    named = {name: spec[name] for name in ("suite", "task", "classes")}
    source = json.dumps({**named, "version": spec.get("suite_version", 1), "sha256": spec["data_fingerprint"]})
    name, digest = f"{spec['suite']}/{spec['task']}", spec["data_fingerprint"][:LONGEST_DIGEST]
    return {"name": name, "digest": digest, "source_type": "peft-vision-bench", "source": source}
