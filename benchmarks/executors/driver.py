"""The driver of a sweep. Several drivers may share a results folder: one executes each run, the others wait for it."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.executors import schedule
from benchmarks.executors.attempt import OnEpoch, Outcome
from benchmarks.executors.claims import Watch
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import store
from methods.errors import UserError

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec

POLL_SECONDS = 0.5
PACKAGES = {"ray": "ray", "slurm": "submitit"}  # what an executor needs besides this package
RAY = {  # Ray reads its settings when it is imported
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_NUM_REDIS_GET_RETRIES": "2",  # 30 s each; Ray's default is 20
    "RAY_task_oom_retries": "3",  # Ray's default is endless
}


def complete(
    specs: Sequence[Spec], results: Path, place: Place, listeners: Listeners, *, again: bool, fail_fast: bool
) -> Outcome:
    """Execute every run once. Wait for the runs that other drivers have claimed, and execute those that become free.

    With ``again`` a run that has a record is executed again. ``Outcome.others`` lists the runs that other drivers
    finished.

    Raises:
        WriteError: the results folder cannot be written, so further runs would be lost.
        UserError: the executor's package is missing, or the cluster cannot be reached or has no room for a run.
    """
    execute = executor(place.executor).execute
    total, watch = Outcome(), Watch(results)
    # the order changes nothing for one worker, so it keeps the order of the tables
    todo = list(specs) if place.workers == 1 else schedule.longest_first(specs, results)
    waiting: list[Spec] = []
    while todo or waiting:
        if todo:
            outcome = execute(todo, results, place, listeners, again=again, fail_fast=fail_fast)
            total.failed.update(outcome.failed)
            waiting += outcome.others
        if total.failed and fail_fast:
            break
        done = [spec for spec in waiting if not again and store.finished(results, spec)]
        total.others.extend(done)
        for spec in done:
            listeners.on_other(spec)
        todo = [spec for spec in waiting if spec not in done and watch.freed(spec)]
        waiting = [spec for spec in waiting if spec not in done and spec not in todo]
        for spec in waiting:
            _show(spec, results, listeners.on_wait)
        if waiting and not todo:
            time.sleep(POLL_SECONDS)
    return total


def executor(name: str) -> Any:
    """Return the module of an executor, which has a function ``execute``.

    Raises:
        UserError: the package that it needs is not installed.
    """
    package = PACKAGES.get(name)
    if package and find_spec(package) is None:
        raise UserError(f"--executor {name} needs {package}: pip install '.[{name}]'")
    os.environ.update(RAY | os.environ)
    return import_module(f"benchmarks.executors.{name}")


def _show(spec: Spec, results: Path, on_wait: OnEpoch) -> None:
    """Show how far another driver is, from the run's trace."""
    trace = store.read_trace(results, spec) or {}
    epoch = trace.get("progress") or {"stage": "started", "epoch": 0, "epochs": 1}
    place = f"process {trace['pid']} on {trace['host']}" if "host" in trace else "another driver"
    on_wait(spec, epoch | {"stage": f"{epoch['stage']}, by {place}"})
