"""results/runs.parquet: all runs as one table for other tools, one row per run, ordered by the path of the record."""

from __future__ import annotations

import io
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from benchmarks.tables.reader import TEXTS

# Every file has these columns with these types, even where no run has a value.
KINDS: dict[str, tuple[str, ...]] = {
    "string": (
        *("key", "spec.suite", "spec.task", "spec.method", "spec.backbone.name", "spec.backbone.modality"),
        *("spec.backbone.sha256", "spec.data_fingerprint", "spec.dtype", "spec.recipe.augment"),
        *("spec.recipe.normalization", "spec.recipe.checkpoint_rule", "spec.recipe.train_split"),
        *("accuracy.checkpoint_rule", "environment.commit", "environment.device", "environment.dtype", "status"),
        *TEXTS,
    ),
    "int64": (
        *("schema_version", "spec.seed", "spec.classes", "spec.backbone.image_size", "spec.recipe.epochs"),
        *("spec.recipe.batch_size", "spec.recipe.warmup_epochs", "spec.recipe.votes", "accuracy.epoch"),
        *("accuracy.test_samples", "params.method", "params.head", "params.trainable", "params.backbone"),
        *("params.task_file_bytes", "cost.peak_memory_bytes", "cost.flops_per_image.forward"),
        *("cost.flops_per_image.training", "environment.threads"),
    ),
    "float64": (
        *("accuracy.test", "accuracy.val", "spec.recipe.drop_path", "spec.recipe.label_smoothing"),
        *("spec.recipe.clip_grad", "cost.train_seconds", "cost.images_per_second", "cost.step_ms.forward"),
        *("cost.step_ms.backward", "cost.step_ms.optimizer", "cost.latency_ms.unmerged", "cost.latency_ms.merged"),
    ),
    "bool": ("environment.dirty",),
    "list": (
        *("spec.backbone.mean", "spec.backbone.std", "history.epoch", "history.train_loss", "history.lr"),
        *("history.val_accuracy", "history.test_accuracy"),
    ),
}


def to_parquet(frame: pd.DataFrame) -> bytes:
    """Return the bytes of the file: the columns of KINDS, then all other columns by name.

    A value that a run lacks is null. An object is JSON text. A column of the history holds a list of floats per run,
    with one float per epoch.
    """
    known = {name: _type(kind) for kind, names in KINDS.items() for name in names}
    missing = [None] * len(frame)
    columns = {name: pa.array(frame.get(name, missing), kind, from_pandas=True) for name, kind in known.items()}
    columns |= {name: _inferred(frame[name]) for name in sorted(set(map(str, frame)) - set(known))}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def _type(kind: str) -> pa.DataType:
    return pa.list_(pa.float64()) if kind == "list" else pa.type_for_alias(kind)


def _inferred(values: pd.Series[Any]) -> pa.Array:
    """Make a column with the type of its values, or with their JSON text if they have several types."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array(values.map(lambda value: orjson.dumps(value).decode(), na_action="ignore"), from_pandas=True)
