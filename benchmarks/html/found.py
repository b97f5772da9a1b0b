"""The findings on runs for their pages: classes, confusions, calibration and errors as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from benchmarks.cli import warn
from benchmarks.records import logits
from benchmarks.records.spec import stem_of
from benchmarks.tables.findings import Findings, findings
from benchmarks.tables.reader import PACK
from methods.errors import UserError

MOST_RUNS = 1000  # whose findings are on the page; each takes about 2 ms to read and 1 kB
MOST_CLASSES = 60  # of a whole confusion matrix
MOST = 20  # confusions and errors per run


def of_runs(results: Path, frame: pd.DataFrame) -> list[bytes | None]:
    """The findings of every run of ``frame`` that has kept its logits, as JSON; None for the others.

    A file that is damaged is named in a warning. Only the first MOST_RUNS runs have findings.
    """
    if not (results / logits.FOLDER).is_dir():
        return [None] * len(frame)
    left, found = MOST_RUNS, []
    names = ("key", "spec.suite", "spec.task", "spec.method", "spec.seed", "accuracy.test", "accuracy.test_samples")
    ours = frame[PACK].isna() if PACK in frame else [True] * len(frame)
    runs = zip(ours, frame[list(names)].itertuples(index=False), strict=True)
    for is_ours, (key, suite, task, method, seed, test, samples) in runs:
        spec = {"suite": suite, "task": task, "method": method, "seed": seed}
        path = logits.path_of(results, stem_of(spec, key))
        one = _of_run(path, {"test": test, "test_samples": samples}) if is_ours and left and path.exists() else None
        left -= one is not None
        found.append(one)
    return found


def _of_run(path: Path, accuracy: Mapping[str, Any]) -> bytes | None:
    try:
        return orjson.dumps(told(findings(logits.read(path, accuracy))))
    except UserError as error:
        warn(f"{error}; the run's page has no report")
        return None


def told(found: Findings) -> dict[str, Any]:
    """The findings as JSON. The confusion matrix is left out if there are too many classes."""
    whole = len(found.labels) <= MOST_CLASSES
    return {
        "labels": found.labels,
        "samples": found.samples,
        "accuracies": [None if value is None else round(value, 4) for value in found.accuracies],
        "confusion": found.confusion.tolist() if whole else None,
        "mistaken": found.mistaken()[:MOST],
        "bins": [
            [one.low, one.high, one.samples, round(one.confidence, 4), round(one.accuracy, 4)] for one in found.bins
        ],
        "ece": round(found.ece, 5),
        "wrong": len(found.errors),
        "errors": [[one.sample, one.truth, one.predicted, round(one.confidence, 4)] for one in found.errors[:MOST]],
    }
