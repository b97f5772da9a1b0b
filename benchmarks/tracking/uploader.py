"""The process that uploads the runs of a sweep to MLflow. It reads events from stdin and writes messages to stdout.

Each event and each message is one line of JSON. It is a process and not a thread because importing mlflow and drawing
hold Python's global lock, which would slow down training.
"""

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cli import masked
from benchmarks.cli.interrupts import interrupt
from benchmarks.files.writing import write_atomic
from benchmarks.records import store
from benchmarks.tracking import fields
from benchmarks.tracking.mirror import Mirror, failures, files, origin, reason
from methods.errors import UserError

FLUSH_SECONDS = 2.0  # epochs that arrive within this time are uploaded together
BEAT_SECONDS = 5.0

Event = dict[str, Any]
FLUSH: Event = {"event": "flush"}


@dataclass(kw_only=True)
class Live:
    """A running run: its epochs so far, and the number of epochs that MLflow has."""

    run_id: str
    key: str
    rows: list[Event] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    logged: int = 0


class Uploader:
    """Turns the events of a sweep into runs of MLflow; ``report`` sends a message to the driver."""

    def __init__(self, mirror: Mirror, opened: Event, report: Callable[[Event], None]) -> None:
        self.results, self.report, self.uploaded = Path(opened["results"]), report, 0
        self.mirror = mirror
        self.live: dict[str, Live] = {}
        self.tags = {fields.ORIGIN: origin(self.results), "suite": opened["suite"]}
        self.incomplete: dict[str, list[str]] = {}  # runs of earlier attempts by key; a complete run replaces them
        ours = f"attributes.status != 'FINISHED' and tags.`{fields.ORIGIN}` = '{self.tags[fields.ORIGIN]}'"
        for run in self.mirror.runs(ours):
            self.incomplete.setdefault(run.data.tags.get(fields.KEY, ""), []).append(run.info.run_id)
        self.sweep = self.mirror.start(opened["name"], self.tags, opened["params"], opened["time_ms"])

    def follow(self, inbox: queue.SimpleQueue[Event | None]) -> bool:
        """Upload until the sweep ends; return False if the driver died or was interrupted."""
        due = time.monotonic() + FLUSH_SECONDS
        while (event := _next(inbox, due)) is not None:
            match event["event"]:
                case "flush":
                    for live in self.live.values():
                        self._flush(live)
                    due = time.monotonic() + FLUSH_SECONDS
                case "start":
                    self._start(event["run"], event)
                case "epoch":
                    self.live[event["run"]].rows.append(event["row"])
                    self.live[event["run"]].times_ms.append(event["time_ms"])
                case "end":
                    self._end(event["run"], event)
                case "close":
                    self._stop()  # runs that another driver has taken over
                    self.mirror.finish_sweep(self.sweep, self.results, event["time_ms"])
                    return True
        self._stop()
        self.mirror.end(self.sweep, "KILLED", int(time.time() * 1000), complete="sweep")
        return False

    def _start(self, stem: str, event: Event) -> None:
        if stem in self.live:  # the run starts again
            self.mirror.delete([self.live[stem].run_id])
        key, spec, time_ms = event["key"], event["spec"], event["time_ms"]
        run_id = self.mirror.start_run(key, spec, self.tags | {fields.PARENT: self.sweep}, time_ms)
        self.live[stem] = Live(run_id=run_id, key=key)

    def _end(self, stem: str, event: Event) -> None:
        live, time_ms = self.live.pop(stem), event["time_ms"]
        self._flush(live)
        if event["failure"] is None:
            paths = files(self.results, stem)
            record = store.read(paths[0])
            uploaded = {row["epoch"] for row in live.rows}
            rest = [row for row in record["history"] if row["epoch"] not in uploaded]  # a cluster may skip epochs
            self.mirror.log(live.run_id, rest, [time_ms] * len(rest))
            self.mirror.finish(live.run_id, record, paths, time_ms)
            self.mirror.delete(self.incomplete.pop(live.key, []))
        else:
            self.mirror.end(live.run_id, "FAILED", time_ms, reason=event["failure"])
        self.uploaded += 1
        self.report({"uploaded": self.uploaded})

    def _flush(self, live: Live) -> None:
        self.mirror.log(live.run_id, live.rows[live.logged :], live.times_ms[live.logged :])
        live.logged = len(live.rows)

    def _stop(self) -> None:
        """Upload the epochs of the runs that have not ended, and mark these runs as killed."""
        for live in self.live.values():
            self._flush(live)
            self.mirror.end(live.run_id, "KILLED", int(time.time() * 1000))


def main() -> int:
    """Upload the sweep whose events come on stdin. A failure becomes a warning of the driver and ends this process."""
    os.nice(5)  # training goes first if no core is idle, because its time is measured
    inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(inbox,), daemon=True).start()
    uri, messages = os.environ["MLFLOW_TRACKING_URI"], os.dup(sys.stdout.fileno())
    sys.stdout = sys.stderr  # MLflow prints

    def report(message: Event) -> None:
        with contextlib.suppress(BrokenPipeError):  # the driver was killed
            os.write(messages, (json.dumps(message) + "\n").encode())  # one call per line: two threads write here

    threading.Thread(target=_beat, args=(report,), daemon=True).start()
    signal.signal(signal.SIGTERM, interrupt)  # the driver no longer waits
    opened, mirror = inbox.get(), None
    try:
        if opened is not None:
            mirror = Mirror(uri, opened["suite"], lambda line: report({"note": line}))
            if Uploader(mirror, opened, report).follow(inbox):
                report({"closed": True})
    except (Exception, KeyboardInterrupt) as error:
        known = isinstance(error, (UserError, KeyboardInterrupt, *failures()))
        report({"warning": reason(error) + ("" if known else _keep_traceback(error, opened))})
        if mirror is not None:
            mirror.abandon()
        return 1
    return 0


def _keep_traceback(error: BaseException, opened: Event | None) -> str:
    """Write a bug's traceback to a file, because this process has no stderr; return where it is."""
    assert opened is not None
    path = Path(opened["results"]) / store.UNFINISHED / "tracking-traceback.txt"
    write_atomic(path, masked("".join(traceback.format_exception(error))))
    return f"; its traceback is in {path}"


def _beat(report: Callable[[Event], None]) -> None:
    """Send a heartbeat while this process computes. A process that only waits for a server computes nothing."""
    used = 0.0
    while True:
        time.sleep(BEAT_SECONDS)
        if time.process_time() - used > 0.01:
            report({})
        used = time.process_time()


def _next(inbox: queue.SimpleQueue[Event | None], due: float) -> Event | None:
    """Return the next event, FLUSH if none comes until ``due``, or None if the driver is gone."""
    try:
        return inbox.get(timeout=max(0.0, due - time.monotonic()))
    except queue.Empty:
        return FLUSH


def _read(inbox: queue.SimpleQueue[Event | None]) -> None:
    """Read events as they come, so that the driver never waits for MLflow."""
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)


if __name__ == "__main__":
    sys.exit(main())
