"""The driver's side of tracking: sends events to the uploader and never waits for it during training."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.cli import masked, progress
from benchmarks.records import store
from benchmarks.records.spec import Epoch, Spec
from benchmarks.tracking import fields

PATIENCE_SECONDS = 60.0  # without a message from the uploader, at the end of a sweep


class Sink:
    """A context manager that sends the events of a sweep to the uploader. Without a URI or runs it does nothing.

    The uploader starts with the sweep and imports mlflow while the first run trains. At the end of the context the
    driver waits until everything is uploaded, as long as there is progress. After an exception it does not wait. If the
    uploader fails, or cannot upload the files of runs, ``warn`` is called once and the sweep goes on.
    """

    def __init__(self, uri: str | None, results: Path, todo: Sequence[Spec], *, warn: Callable[[str], None]) -> None:
        self.uploaded = 0
        self._uri, self._results, self._warn = uri or "", results, warn
        self._started: dict[Spec, int] = {}  # the last epoch that was sent
        self._last_message, self._over, self._lock = time.monotonic(), False, threading.Lock()
        self._process = _spawn(uri) if uri and todo else None
        if self._process is None:
            return
        self._listener = threading.Thread(target=self._listen, args=(self._process,), daemon=True)
        self._listener.start()
        params = fields.sweep([spec.to_json() for spec in todo])
        name = f"{params['methods'][:60]} ({len(todo)} runs)"
        self._send(event="open", results=str(results.resolve()), suite=todo[0].suite, name=name, params=params)

    def epoch(self, spec: Spec, epoch: Epoch) -> None:
        """Send an epoch. An epoch of an earlier stage of a method only shows that the run has started.

        If an epoch comes again, the run's process died and the run starts again; the uploader then deletes its first
        part.
        """
        if "train_loss" in epoch and epoch["epoch"] <= self._started.get(spec, 0):
            self._started.pop(spec, None)
        self._start(spec)
        if "train_loss" in epoch:
            self._started[spec] = epoch["epoch"]
            row = {name: epoch.get(name) for name in ("epoch", *fields.PER_EPOCH)}
            self._send(event="epoch", run=spec.stem, row=row)

    def end(self, spec: Spec) -> None:
        """Send that a run has its record, or why it has none."""
        self._start(spec)
        trace = store.read_trace(self._results, spec) or {}
        self._send(event="end", run=spec.stem, failure=trace.get("reason"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is None:
            return
        if kind is None and not self._over:
            self._send(event="close")
            self._wait(self._process)
        with self._lock:
            self._over = True  # the driver stops: no warning after this
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the uploader has ended; the rest of the buffer is lost
            self._process.stdin.close()

    def _start(self, spec: Spec) -> None:
        if spec in self._started or self._process is None:
            return
        self._started[spec] = 0
        trace = store.trace_path(self._results, spec)  # written when the run started
        start_ms = int((trace.stat().st_mtime if trace.exists() else time.time()) * 1000)
        self._send(event="start", run=spec.stem, key=spec.key, spec=spec.to_json(), time_ms=start_ms)

    def _send(self, **event: Any) -> None:
        if self._process is None or self._over:
            return
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # ``_listen`` receives the reason
            self._process.stdin.write(json.dumps({"time_ms": int(time.time() * 1000), **event}) + "\n")
            self._process.stdin.flush()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            message, self._last_message = json.loads(line), time.monotonic()
            self.uploaded = message.get("uploaded", self.uploaded)
            if "note" in message:
                self._tell(message["note"])
            if "warning" in message:
                self._give_up(message["warning"])
            if "closed" in message:
                self._over = True
        self._give_up(f"the uploading process ended with exit status {process.wait()}")

    def _tell(self, line: str, over: bool = False) -> None:
        with self._lock:
            if not self._over:
                self._over = over
                self._warn(line)

    def _give_up(self, why: str) -> None:
        place = masked(self._uri)
        option = f"--results {shlex.quote(str(self._results))}" + (f" --tracking {place}" if place == self._uri else "")
        self._tell(
            f"tracking to {place} stopped ({why}); runs go on and keep their records, "
            f"`python -m benchmarks.tracking sync {option}` uploads what is missing",
            over=True,
        )

    def _wait(self, process: subprocess.Popen[str]) -> None:
        self._last_message = time.monotonic()
        with progress() as bar:
            task = bar.add_task("uploading to MLflow", total=len(self._started))
            while self._listener.is_alive() and not self._over:
                self._listener.join(0.05)
                bar.update(task, completed=self.uploaded)
                if time.monotonic() - self._last_message > PATIENCE_SECONDS:
                    self._give_up(f"nothing was uploaded in {PATIENCE_SECONDS:.0f} seconds")
                    process.terminate()  # it marks its runs as killed


def _spawn(uri: str) -> subprocess.Popen[str]:
    """Start an uploader. Ctrl-C does not reach it; it ends when the driver closes its stdin, or dies."""
    package = str(Path(__file__).parents[2])  # so that the uploader can import it from any folder
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
