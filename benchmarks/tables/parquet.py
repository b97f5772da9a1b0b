"""results/runs.parquet: all runs as one table for other tools, a row a run in the order of the records' paths."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.tables.columns import coded, kinds_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from benchmarks.tables.columns import Histories

# what every table has, in this order; fields that records are given later follow by name
COLUMNS = {
    "string": (
        *("key", "spec.suite", "spec.task", "spec.method", "spec.backbone.name", "spec.backbone.modality"),
        *("spec.backbone.sha256", "spec.data_fingerprint", "spec.dtype", "spec.recipe.augment"),
        *("spec.recipe.normalization", "spec.recipe.checkpoint_rule", "spec.recipe.train_split"),
        *("accuracy.checkpoint_rule", "environment.commit", "environment.device", "environment.dtype", "status"),
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
    "list<double>": ("spec.backbone.mean", "spec.backbone.std"),
}
TEXTS = ("spec.config", "environment.packages", "report", "tuning")  # differ from run to run in what they have: JSON
CURVES = ("epoch", "train_loss", "lr", "val_accuracy", "test_accuracy")


def to_parquet(frame: pd.DataFrame, histories: Histories) -> bytes:
    """The file; the index of ``frame`` has the numbers of its runs in ``histories``.

    Fields are columns of fixed types, null where a record has none. Those of TEXTS are JSON objects without nulls; the
    history is the columns ``history.FIELD``, a list with a number an epoch.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {"list<double>": pa.list_(pa.float64())}
    known = {name: types.get(kind) or pa.type_for_alias(kind) for kind, names in COLUMNS.items() for name in names}
    columns = {name: _typed(frame, name, kind) for name, kind in known.items()}
    columns |= {name: pa.array(_objects(frame, name), pa.string()) for name in TEXTS}
    later = (name for name in frame if name not in known and not str(name).startswith(TEXTS))
    columns |= {str(name): _inferred(frame[name]) for name in sorted(map(str, later))}
    columns |= {f"history.{field}": _lists(histories, field, frame.index.tolist()) for field in CURVES}
    file = io.BytesIO()
    parquet.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def _typed(frame: pd.DataFrame, name: str, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if name not in frame:
        return pa.nulls(len(frame), kind)
    return pa.array(frame[name], type=kind, from_pandas=True, safe=True)


def _inferred(values: pd.Series[Any]) -> pa.Array:
    """A column of the type of its values; of several types, their JSON."""
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        places, texts = coded(values)
        return pa.array([*texts, None], pa.string()).take(pa.array(places % (len(texts) + 1)))


def _objects(frame: pd.DataFrame, prefix: str) -> list[str | None]:
    """What stands below a prefix as one JSON object a run."""
    import orjson

    names = [str(name) for name in frame if str(name).startswith(f"{prefix}.")]
    columns = [coded(frame[name]) for name in names]
    paths = [name.removeprefix(f"{prefix}.").split(".") for name in names]
    kinds, first = kinds_of([places for places, _ in columns], len(frame))
    made: list[str | None] = []
    for row in first.tolist():
        values: dict[str, Any] = {}
        for path, (places, texts) in zip(paths, columns, strict=True):
            if places[row] >= 0:
                _put(values, path, orjson.Fragment(texts[places[row]]))
        made.append(orjson.dumps(values).decode() if values else None)
    return [made[kind] for kind in kinds.tolist()]


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def _lists(histories: Histories, field: str, runs: list[int]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    if field not in histories.values:
        return pa.nulls(len(runs), pa.list_(pa.float64()))
    ends = np.concatenate([[0], np.frombuffer(histories.reached(field), "int64")]).astype("int32")
    values = pa.array(np.frombuffer(histories.values[field]), from_pandas=True)
    lists = pa.ListArray.from_arrays(ends, values)
    return lists if runs == list(range(histories.runs)) else lists.take(pa.array(runs))
