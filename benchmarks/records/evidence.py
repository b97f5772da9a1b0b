"""What makes a JSON object the record of a run: its digest, its key, its types, and numbers that can be true."""

import hashlib
from collections.abc import Mapping
from functools import cache
from types import NoneType
from typing import Any, get_args

import orjson

from benchmarks.files.names import check_part
from benchmarks.records.spec import SCHEMA_VERSION, SEEDS, Dtype, Recipe, key_of
from methods.errors import UserError, check
from methods.modality import Modality
from methods.options import parse

Values = Mapping[str, Any]
Kind = tuple[type, ...]
Kinds = dict[str, Kind]

DIGEST = "digest"
TEXT: Kind = (str,)
COUNT: Kind = (int,)
NUMBER: Kind = (float, int)
OBJECT: Kind = (dict,)
LIST: Kind = (list,)
WORDS = {str: "a text", int: "a whole number", float: "a number", dict: "an object", list: "a list", bool: "a boolean"}
MOST = 2**53  # every reader of JSON keeps whole numbers up to this exact, and every table has room for them


def _or_none(kinds: Kinds) -> Kinds:
    return {name: (*kind, NoneType) for name, kind in kinds.items()}


# the types of a record's fields by section; a field that older records lack may be None
TYPES: Mapping[str, Kinds] = {
    "": {name: OBJECT for name in ("spec", "accuracy", "params", "cost", "environment")}
    | {"key": TEXT, "history": LIST, "report": OBJECT}
    | _or_none({"tuning": OBJECT, "labels": LIST, "method_digest": TEXT}),
    "spec": {name: TEXT for name in ("method", "suite", "task", "data_fingerprint", "dtype")}
    | {"config": OBJECT, "backbone": OBJECT, "recipe": OBJECT, "classes": COUNT, "seed": COUNT}
    | _or_none({"suite_version": COUNT, "kind": TEXT}),
    "spec.backbone": {name: TEXT for name in ("name", "modality", "sha256")}
    | {"mean": LIST, "std": LIST, "image_size": (int, NoneType)}
    | _or_none({"crop_mode": TEXT, "crop_pct": NUMBER, "interpolation": TEXT}),
    "accuracy": {"test": NUMBER, "test_samples": COUNT, "checkpoint_rule": TEXT}
    | _or_none({"val": NUMBER, "epoch": COUNT, "metric": TEXT, "others": OBJECT}),
    "params": {name: COUNT for name in ("method", "head", "trainable", "backbone", "task_file_bytes")},
    "cost": {"train_seconds": NUMBER}
    | _or_none({"peak_memory_bytes": COUNT, "images_per_second": NUMBER})
    | _or_none(dict.fromkeys(("step_ms", "flops_per_image", "latency_ms"), OBJECT)),
    "cost.step_ms": _or_none({name: NUMBER for name in ("forward", "backward", "optimizer")}),
    "cost.flops_per_image": _or_none({name: COUNT for name in ("forward", "training")}),
    "cost.latency_ms": _or_none({name: NUMBER for name in ("unmerged", "merged")}),
    "environment": _or_none(dict.fromkeys(("commit", "device", "dtype"), TEXT))
    | _or_none({"packages": OBJECT, "threads": COUNT, "dirty": (bool,)}),
    "tuning": {"study": TEXT, "trials": COUNT, "fixed": LIST, "search_seed": COUNT},
}
ROUNDING = 1e-6  # of a fraction times the number of its samples
IN_HISTORY = {int, float, NoneType}


def seal(values: Values) -> dict[str, Any]:
    """The content of a record with its digest, which is the last field. An older digest is replaced."""
    content = {name: value for name, value in values.items() if name != DIGEST}
    return content | {DIGEST: digest(content)}


def digest(record: Values) -> str:
    """16 hexadecimal digits of the SHA-256 over a record without its digest, as JSON with sorted names and no spaces.

    Raises:
        TypeError: a value cannot be written as JSON.
    """
    content = {name: value for name, value in record.items() if name != DIGEST}
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def examine(record: Any) -> None:
    """Check that what a file holds is the record of a finished run, as it was written.

    Raises:
        UserError: the first fault; the message completes "record FILE: ...".
    """
    check(isinstance(record, dict) and record.get("status") == "finished", "it is not that of a finished run")
    version = record.get("schema_version")
    check(version == SCHEMA_VERSION, f"it has schema version {version!r}, not {SCHEMA_VERSION}")
    check(DIGEST in record, "it has no digest, so nothing shows that it is as it was written")
    check(record[DIGEST] == _digest(record), "its digest is not that of its content: it was edited or damaged")
    for section, kinds in TYPES.items():
        outer, _, name = section.rpartition(".")
        values = record if not section else (record[outer] if outer else record).get(name)
        if values is not None:  # a section that may be missing
            _check_types(values, section, kinds)
    _check_spec(record["spec"])
    check_labels(record.get("labels"), record["spec"]["classes"])
    key = key_of(record["spec"])
    check(record["key"] == key, f"its key {record['key'][:32]!r} is not {key}, that of its spec")
    _check_numbers(record)


def check_labels(labels: Any, classes: int) -> None:
    """Check that names of classes, if there are any, are one text per class.

    Raises:
        UserError: they are something else.
    """
    fits = labels is None or (
        isinstance(labels, list) and len(labels) == classes and all(isinstance(label, str) for label in labels)
    )
    check(fits, f"labels are not the names of {classes} classes")


def check_tuning(tuning: Any) -> None:
    """Check that what says who chose a run's options is a study, or None.

    Raises:
        UserError: it is something else.
    """
    check(tuning is None or isinstance(tuning, dict), f"a tuning is {ascii(tuning)[:40]}, not an object")
    if tuning is not None:
        _check_types(tuning, "tuning", TYPES["tuning"])


def times(record: Values) -> tuple[float, ...] | None:
    """The measured times of a run, which no other run has; None where a record lacks them."""
    steps = record["cost"].get("step_ms")
    return (record["cost"]["train_seconds"], *steps.values()) if steps else None


def _digest(record: Values) -> str:
    try:
        return digest(record)
    except (TypeError, RecursionError):  # JSON that Python reads, and no other program: lone surrogates, endless depth
        return ""


def _check_types(values: Values, section: str, kinds: Kinds) -> None:
    for name, kind in kinds.items():
        value = values.get(name)
        if type(value) not in kind:
            raise UserError(f"{section}.{name}".lstrip(".") + f" is {ascii(value)[:40]}, not {WORDS[kind[0]]}")
        if isinstance(value, (float, int)) and (value < 0 or value > MOST):
            raise UserError(f"{section}.{name} is {value}, not from 0 to {MOST}")


def _check_spec(spec: Values) -> None:
    for name in ("suite", "task", "method"):
        check_part(name, spec[name])
    check(spec["seed"] < SEEDS, f"spec.seed is {spec['seed']}, not from 0 to {SEEDS - 1}")
    for name, value, allowed in (
        ("dtype", spec["dtype"], get_args(Dtype)),
        ("backbone.modality", spec["backbone"]["modality"], get_args(Modality)),
    ):
        check(value in allowed, f"spec.{name} is {ascii(value)[:40]}, not {' or '.join(allowed)}")
    _check_recipe(orjson.dumps(spec["recipe"]))


@cache  # records of one comparison have one recipe
def _check_recipe(text: bytes) -> None:
    try:
        parse(Recipe, orjson.loads(text))
    except UserError as error:
        raise UserError(f"spec.recipe: {error}") from None


def _check_numbers(record: Values) -> None:
    accuracy, params, rule = record["accuracy"], record["params"], record["spec"]["recipe"].get("checkpoint_rule")
    for split in ("test", "val"):
        share = accuracy.get(split)
        check(share is None or 0 <= share <= 1, f"accuracy.{split} is {share}, not from 0 to 1")
    for name, share in (accuracy.get("others") or {}).items():
        within = isinstance(share, float | int) and 0 <= share <= 1
        check(within, f"accuracy.others.{name} is {share}, not from 0 to 1")
    hits, samples = accuracy["test"] * accuracy["test_samples"], accuracy["test_samples"]
    check(samples > 0, "accuracy.test_samples is 0")
    whole = "metric" in accuracy or abs(hits - round(hits)) < ROUNDING
    check(whole, f"accuracy.test is {accuracy['test']}, which is {hits:.3f} of {samples} samples")
    check(accuracy["checkpoint_rule"] == rule, f"accuracy.checkpoint_rule is not that of spec.recipe, {rule}")
    total = params["method"] + params["head"]
    check(params["trainable"] == total, f"params.trainable is {params['trainable']}, not method + head = {total}")
    check(params["backbone"] > 0, "params.backbone is 0")
    check(record["cost"]["train_seconds"] >= 0, "cost.train_seconds is no number")
    rows = record["history"]
    check(bool(rows), "history has no epoch")
    known = all(type(row) is dict for row in rows) and {type(v) for row in rows for v in row.values()} <= IN_HISTORY
    check(known, "history is not one object of numbers per epoch")
