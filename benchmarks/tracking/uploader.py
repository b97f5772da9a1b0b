"""The process beside a sweep that brings its runs to MLflow: events come on stdin, news go to stdout, a JSON a line.

A process, not a thread: importing mlflow and drawing hold Python's lock, and every step of training would wait for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.records import store
from benchmarks.tracking import fields
from benchmarks.tracking.mirror import Mirror, files, origin, reason

FLUSH_SECONDS = 2.0  # epochs that come within it go up together
BEAT_SECONDS = 5.0
NICENESS = 5  # training, whose time is measured, goes first where no core is idle

Event = dict[str, Any]
FLUSH: Event = {"event": "flush"}


@dataclass(kw_only=True)
class Live:
    """A run under way: its epochs so far, and how many of them MLflow has."""

    run_id: str
    key: str
    rows: list[Event] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    logged: int = 0


class Uploader:
    """What a sweep's events become in MLflow."""

    def __init__(self, uri: str, opened: Event, tell: Callable[[Event], None]) -> None:
        self.results, self.tell, self.uploaded = Path(opened["results"]), tell, 0
        self.mirror = Mirror(uri, opened["suite"])
        self.live: dict[str, Live] = {}
        self.tags = {fields.ORIGIN: origin(self.results), "suite": opened["suite"]}
        self.halves: dict[str, list[str]] = {}  # of earlier attempts, which a complete run replaces
        ours = f"attributes.status != 'FINISHED' and tags.`{fields.ORIGIN}` = '{self.tags[fields.ORIGIN]}'"
        for run in self.mirror.runs(ours):
            self.halves.setdefault(run.data.tags.get(fields.KEY, ""), []).append(run.info.run_id)
        self.sweep = self.mirror.start(
            opened["name"], tags=self.tags, params=opened["params"], start_ms=opened["time_ms"]
        )

    def follow(self, inbox: queue.SimpleQueue[Event | None]) -> bool:
        """Upload until the sweep closes; False if it went away instead."""
        due = time.monotonic() + FLUSH_SECONDS
        while (event := _next(inbox, due)) is not None:
            if event == FLUSH:
                for live in self.live.values():
                    self._flush(live)
                due = time.monotonic() + FLUSH_SECONDS
            elif event["event"] == "close":
                self._stop()  # of runs that another driver has taken over
                self.mirror.finish_sweep(self.sweep, self.results, event["time_ms"])
                return True
            else:
                self._take(event)
        self._abandon()
        return False

    def _take(self, event: Event) -> None:
        stem = event["run"]
        match event["event"]:
            case "start":
                self._start(stem, event)
            case "epoch":
                self.live[stem].rows.append(event["row"])
                self.live[stem].times_ms.append(event["time_ms"])
            case "end":
                self._end(stem, event)

    def _start(self, stem: str, event: Event) -> None:
        if stem in self.live:  # it starts over
            self.mirror.delete([self.live[stem].run_id])
        key, spec = event["key"], event["spec"]
        tags = {**self.tags, **fields.tags(key, spec), fields.PARENT: self.sweep}
        run_id = self.mirror.start(fields.name(spec), tags=tags, params=fields.params(spec), start_ms=event["time_ms"])
        self.live[stem] = Live(run_id=run_id, key=key)

    def _end(self, stem: str, event: Event) -> None:
        live = self.live.pop(stem)
        self._flush(live)
        if event["failure"] is None:
            paths = files(self.results, stem)
            record = store.read(paths[0])
            told = {row["epoch"] for row in live.rows}
            rest = [row for row in record["history"] if row["epoch"] not in told]  # where a cluster told of fewer
            self.mirror.log(live.run_id, rest, [event["time_ms"]] * len(rest))
            self.mirror.finish(live.run_id, record, paths, event["time_ms"])
            self.mirror.delete(self.halves.pop(live.key, []))
        else:
            self.mirror.end(live.run_id, "FAILED", event["time_ms"], reason=event["failure"])
        self.uploaded += 1
        self.tell({"uploaded": self.uploaded})

    def _flush(self, live: Live) -> None:
        self.mirror.log(live.run_id, live.rows[live.logged :], live.times_ms[live.logged :])
        live.logged = len(live.rows)

    def _abandon(self) -> None:
        """Keep what there is of the runs of a driver that was stopped."""
        self._stop()
        self.mirror.end(self.sweep, "KILLED", int(time.time() * 1000), complete="sweep")

    def _stop(self) -> None:
        for live in self.live.values():
            self._flush(live)
            self.mirror.end(live.run_id, "KILLED", int(time.time() * 1000))


def main() -> int:
    """Follow the sweep on stdin; whatever goes wrong with MLflow is told as one line, and ends this process."""
    os.nice(NICENESS)
    inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(inbox,), daemon=True).start()
    uri, news = os.environ["MLFLOW_TRACKING_URI"], os.dup(sys.stdout.fileno())
    sys.stdout = sys.stderr  # MLflow prints

    def tell(message: Event) -> None:
        with contextlib.suppress(BrokenPipeError):  # a driver that was killed
            os.write(news, (json.dumps(message) + "\n").encode())  # a whole line, from whichever thread

    threading.Thread(target=_beat, args=(tell,), daemon=True).start()
    try:
        opened = inbox.get()
        if opened is not None and Uploader(uri, opened, tell).follow(inbox):
            tell({"closed": True})
    except Exception as error:
        tell({"warning": reason(error, uri)})
        return 1
    return 0


def _beat(tell: Callable[[Event], None]) -> None:
    """Give signs of life while this process computes; one that waits for a server in vain computes nothing."""
    used = 0.0
    while True:
        time.sleep(BEAT_SECONDS)
        if time.process_time() - used > 0.01:
            tell({})
        used = time.process_time()


def _next(inbox: queue.SimpleQueue[Event | None], due: float) -> Event | None:
    """The next event, or FLUSH where none comes until it is due; None when the driver is gone."""
    try:
        return inbox.get(timeout=max(0.0, due - time.monotonic()))
    except queue.Empty:
        return FLUSH


def _read(inbox: queue.SimpleQueue[Event | None]) -> None:
    """Take events as they come, so that the driver never waits for MLflow."""
    for line in sys.stdin:
        inbox.put(json.loads(line))
    inbox.put(None)


if __name__ == "__main__":
    sys.exit(main())
