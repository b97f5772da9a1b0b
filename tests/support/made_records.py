"""Records and frames with made-up accuracies, for tests of tables and pictures."""

import pandas as pd

from benchmarks.records.spec import Result, Spec
from benchmarks.sweeps import sweep
from benchmarks.tables import reader

ACCURACY = {  # method, task -> accuracies of seeds 0, 1, 2
    ("lora", "digits"): [0.90, 0.92, 0.94],
    ("lora", "count"): [0.50, 0.52, 0.57],
    ("linear", "digits"): [0.70, 0.71, 0.72],
    ("linear", "count"): [0.30, 0.35, 0.31],
}


def result(spec: Spec, accuracy: float = 0.5, params: int = 100) -> Result:
    return Result(
        spec=spec,
        history=[{"epoch": 1, "train_loss": 0.5, "lr": 0.0, "val_accuracy": None, "test_accuracy": None}],
        accuracy={"test": accuracy, "val": None, "checkpoint_rule": "last", "epoch": 1, "test_samples": 1000},
        params={"method": params, "head": 10, "trainable": params + 10, "backbone": 1000, "task_file_bytes": 2000},
        cost={"train_seconds": 1.0},
        environment={},
    )


def record(spec: Spec, accuracy: float, params: int) -> dict[str, object]:
    return result(spec, accuracy, params).to_json()


def frame(accuracy: dict[tuple[str, str], list[float]], **asked: object) -> pd.DataFrame:
    records = []
    for (method, task), values in accuracy.items():
        seeds = tuple(range(len(values)))
        specs = sweep.specs(sweep.Sweep(methods=(method,), tasks=(task,), seeds=seeds, **asked), "float32")  # type: ignore[arg-type]
        params = {"lora": 100, "linear": 0, "norm": 50, "fact_tk": 70, "adapterx": 80}[method]
        records += [record(spec, value, params) for spec, value in zip(specs, values, strict=True)]
    return reader.to_frame(records)
