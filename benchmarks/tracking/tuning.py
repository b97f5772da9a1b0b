"""Copies Optuna studies to MLflow: one run per study, and its finished trials nested in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import masked, warn
from benchmarks.records.spec import Spec
from benchmarks.tracking import fields
from benchmarks.tracking.mirror import Mirror, failures, origin, reason
from methods.errors import UserError

if TYPE_CHECKING:
    from mlflow.entities import Run

VAL = "accuracy/val"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A finished trial: its place in the study, options, validation accuracies by epoch, and value if not pruned."""

    slot: int
    config: Mapping[str, Any]
    epochs: Mapping[int, float]
    value: float | None
    start_ms: int
    end_ms: int


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study: its name, the run that its trials vary, the trial of the default (-1: none), and its finished trials."""

    name: str
    base: Spec
    default_slot: int
    trials: Sequence[Trial] = field(repr=False)


def upload(uri: str, results: Path, studies: Iterable[Study]) -> int:
    """Upload the trials that MLflow lacks, to the experiment "SUITE tuning". Returns their number.

    An MLflow that fails costs one warning; the studies stay as they are.
    """
    sent = 0
    for study in studies:
        try:
            mirror = Mirror(uri, f"{study.base.suite} tuning", warn)
            try:
                sent += _study(mirror, results, study)
            finally:
                mirror.abandon()
        except UserError as error:
            warn(f"{error}; the studies are kept, repeat the command to upload")
            return sent
        except failures() as error:
            warn(f"MLflow at {masked(uri)} failed: {reason(error)}; the studies are kept, repeat the command to upload")
            return sent
    return sent


def _study(mirror: Mirror, results: Path, study: Study) -> int:
    tags = {fields.ORIGIN: origin(results), fields.STUDY: study.name}
    ours = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    known = {run.data.tags.get(fields.SLOT): run for run in mirror.runs(ours) if _complete(run)}
    missing = [trial for trial in study.trials if str(trial.slot) not in known]
    if not missing:
        return 0
    spec = study.base.to_json()
    if (parent := known.get(None)) is None:
        about = {name: fields.text(spec[name]) for name in ("method", "task", "suite", "seed")}
        start_ms = min(trial.start_ms for trial in study.trials)
        parent_id = mirror.start(f"{study.base}: study", tags | about, fields.params(spec), start_ms)
    else:
        parent_id = str(parent.info.run_id)
    for trial in missing:
        _trial(mirror, study, trial, tags | {fields.PARENT: parent_id})
    values = [trial.value for trial in study.trials if trial.value is not None]
    default = next((trial.value for trial in study.trials if trial.slot == study.default_slot), None)
    numbers = {VAL: max(values, default=None), f"{VAL}/default": default, "trials": float(len(study.trials))}
    mirror.numbers(parent_id, numbers, int(time.time() * 1000))
    mirror.end(parent_id, "FINISHED", max(trial.end_ms for trial in study.trials), complete=study.name)
    return len(missing)


def _complete(run: Run) -> bool:
    return fields.COMPLETE in run.data.tags


def _trial(mirror: Mirror, study: Study, trial: Trial, tags: Mapping[str, str]) -> None:
    spec = study.base.to_json() | {"config": dict(trial.config)}
    own = {fields.SLOT: str(trial.slot), "state": "pruned" if trial.value is None else "complete"}
    run_id = mirror.start_run("", spec, {**tags, **own}, trial.start_ms, name=f"{study.base}: trial {trial.slot}")
    rows = [{"epoch": epoch, "val_accuracy": value} for epoch, value in sorted(trial.epochs.items())]
    mirror.log(run_id, rows, [trial.end_ms] * len(rows))
    mirror.numbers(run_id, {VAL: trial.value}, trial.end_ms)
    mirror.end(run_id, "FINISHED", trial.end_ms, complete=study.name)
