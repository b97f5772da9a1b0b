"""The driver's side of tracking: events to the uploader, which training never waits for; one warning if it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from benchmarks.cli import progress
from benchmarks.records import store
from benchmarks.tracking import fields
from benchmarks.tracking.address import shown

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec
    from benchmarks.training.train import Epoch

PATIENCE_SECONDS = 60.0  # at a sweep's end, since the last sign of life


class Sink:
    """Takes what happens in a sweep, as a context; does nothing without a URI or with nothing to run.

    The uploader starts with the sweep and imports mlflow beside the training. Leaving the context waits until all is
    uploaded, while there is progress; leaving it by an exception waits for nothing.
    """

    def __init__(self, uri: str | None, results: Path, todo: Sequence[Spec], *, warn: Callable[[str], None]) -> None:
        self.uploaded = 0
        self._uri, self._results, self._warn = uri or "", results, warn
        self._begun: dict[Spec, int] = {}  # with the last epoch told of
        self._heard, self._over, self._lock = time.monotonic(), False, threading.Lock()
        self._process = _spawn(uri) if uri and todo else None
        if self._process is None:
            return
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        params = fields.sweep([spec.to_json() for spec in todo])
        name = f"{params['methods'][:60]} ({len(todo)} runs)"
        self._tell(event="open", results=str(results.resolve()), suite=todo[0].suite, name=name, params=params)

    def epoch(self, spec: Spec, epoch: Epoch) -> None:
        """Pass on an epoch; those of a method's earlier stages only say that the run has begun.

        A run whose process died starts over; what was told of it before is dropped.
        """
        if "train_loss" in epoch and epoch["epoch"] <= self._begun.get(spec, 0):
            self._begun.pop(spec, None)
        self._begin(spec)
        if "train_loss" in epoch:
            self._begun[spec] = epoch["epoch"]
            self._tell(
                event="epoch", run=spec.stem, row={name: epoch.get(name) for name in ("epoch", *fields.PER_EPOCH)}
            )

    def end(self, spec: Spec) -> None:
        """Pass on that a run has its record, or why it has none."""
        self._begin(spec)
        trace = store.trace_path(self._results, spec)
        failure = json.loads(trace.read_text(encoding="utf-8"))["reason"] if trace.exists() else None
        self._tell(event="end", run=spec.stem, failure=failure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is None:
            return
        if kind is None:
            self._tell(event="close")
            self._wait(self._process)
        with self._lock:
            self._over = True  # an uploader whose driver stops has nothing to warn of
        self._hang_up()

    def _begin(self, spec: Spec) -> None:
        if spec in self._begun or self._process is None:
            return
        self._begun[spec] = 0
        trace = store.trace_path(self._results, spec)  # written when the run started
        start_ms = int((trace.stat().st_mtime if trace.exists() else time.time()) * 1000)
        self._tell(event="start", run=spec.stem, key=spec.key, spec=spec.to_json(), time_ms=start_ms)

    def _tell(self, **event: Any) -> None:
        if self._process is None or self._over:
            return
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"time_ms": int(time.time() * 1000), **event}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # the listener hears why
            return

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            message, self._heard = json.loads(line), time.monotonic()
            self.uploaded = message.get("uploaded", self.uploaded)
            if "warning" in message:
                self._give_up(message["warning"])
            if "closed" in message:
                self._over = True
        self._give_up(f"the uploading process ended with exit status {process.wait()}")

    def _give_up(self, why: str) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
        place = shown(self._uri)
        option = f"--results {self._results}" + (f" --tracking {place}" if place == self._uri else "")
        self._warn(
            f"tracking to {place} stopped ({why}); runs go on and keep their records, "
            f"`python -m benchmarks.tracking sync {option}` uploads what is missing"
        )

    def _wait(self, process: subprocess.Popen[str]) -> None:
        self._heard = time.monotonic()
        with progress() as bar:
            task = bar.add_task("uploading to MLflow", total=len(self._begun))
            while self._listener.is_alive():
                self._listener.join(0.05)
                bar.update(task, completed=self.uploaded)
                if time.monotonic() - self._heard > PATIENCE_SECONDS:
                    self._give_up(f"nothing was taken in {PATIENCE_SECONDS:.0f} seconds")
                    process.kill()
                    return

    def _hang_up(self) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:  # what was not yet written; there is nobody to read it
            return


def _spawn(uri: str) -> subprocess.Popen[str]:
    """Start an uploader that Ctrl-C does not reach: it ends when the driver hangs up, however that ended."""
    package = str(Path(__file__).parents[2])  # importable wherever the command was given
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tracking.uploader"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": path},
    )
