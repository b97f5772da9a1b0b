"""Uploads the records that MLflow does not have yet. A second call uploads nothing."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import masked, progress, warn
from benchmarks.records import evidence, store
from benchmarks.records.spec import stem_of
from benchmarks.tracking import fields
from benchmarks.tracking.mirror import Mirror, failures, files, origin, reason
from methods.errors import UserError

if TYPE_CHECKING:
    from mlflow.entities import Run

Records = dict[str, dict[str, Any]]  # by stem: suite/task/method-sSEED-KEY


def sync(uri: str, results: Path) -> tuple[int, int]:
    """Upload every record without a complete run in MLflow. Return how many were uploaded, and how many were there.

    Replaces incomplete runs of the same record. Do not call it during a sweep into the same folder.

    Raises:
        UserError: there are no records, MLflow does not answer, or an experiment is deleted.
    """
    suites: defaultdict[str, Records] = defaultdict(dict)
    for record in store.each(results):
        spec = record["spec"]
        suites[spec["suite"]][stem_of(spec, record["key"])] = record
    if not suites:
        raise UserError(f"no run records below {results / store.RUNS}; make some with: python -m benchmarks.run")
    uploaded, total = 0, sum(map(len, suites.values()))
    with progress() as bar:
        task = bar.add_task("comparing with MLflow", total=total)
        try:
            for suite, records in suites.items():
                mirror = Mirror(uri, suite, warn)
                try:
                    folder = Folder(mirror, results, records)
                    bar.update(task, description=f"uploading {suite}", advance=len(records) - len(folder.missing))
                    uploaded += folder.upload(lambda: bar.advance(task))
                finally:
                    mirror.abandon()
        except failures() as error:
            raise UserError(
                f"MLflow at {masked(uri)} failed: {reason(error)}; correct that and repeat the command"
            ) from None
    return uploaded, total - uploaded


class Folder:
    """Compares the records of one suite in a results folder with MLflow; ``missing`` maps stems to records."""

    def __init__(self, mirror: Mirror, results: Path, records: Records) -> None:
        self.mirror, self.results = mirror, results
        self.tags = {fields.ORIGIN: origin(results)}
        self.incomplete: defaultdict[str, list[Run]] = defaultdict(list)
        self.sweeps: list[str] = []
        complete = set()
        for run in mirror.runs():
            tags = run.data.tags
            if fields.COMPLETE in tags:
                complete.add((tags.get(fields.KEY), tags[fields.COMPLETE]))
            elif tags.get(fields.ORIGIN) == self.tags[fields.ORIGIN] and fields.KEY in tags:
                self.incomplete[tags[fields.KEY]].append(run)
            elif tags.get(fields.ORIGIN) == self.tags[fields.ORIGIN]:
                self.sweeps.append(run.info.run_id)
        self.missing = {s: r for s, r in records.items() if (r["key"], r[evidence.DIGEST]) not in complete}

    def upload(self, on_run: Callable[[], None]) -> int:
        """Upload the missing records, then end the sweeps that were interrupted. Return the number of records."""
        now_ms, specs = int(time.time() * 1000), [record["spec"] for record in self.missing.values()]
        if specs and not self.sweeps:
            name, tags = f"records of {self.results.name} ({len(specs)} runs)", self.tags | {"suite": specs[0]["suite"]}
            self.sweeps.append(self.mirror.start(name, tags, fields.sweep(specs), now_ms))
        for stem, record in self.missing.items():
            self._upload(stem, record)
            on_run()
        for sweep in self.sweeps:
            self.mirror.finish_sweep(sweep, self.results, int(time.time() * 1000))
        return len(self.missing)

    def _upload(self, stem: str, record: Mapping[str, Any]) -> None:
        paths, incomplete = files(self.results, stem), self.incomplete[record["key"]]
        sweeps = [run.data.tags.get(fields.PARENT) for run in incomplete]
        parent = next((sweep for sweep in self.sweeps if sweep in sweeps), self.sweeps[0])
        # a record has no time of day; its file was written right after training
        end_ms = int(paths[0].stat().st_mtime * 1000)
        start_ms = end_ms - int(record["cost"]["train_seconds"] * 1000)
        run_id = self.mirror.start_run(record["key"], record["spec"], self.tags | {fields.PARENT: parent}, start_ms)
        history = record["history"]
        times_ms = [start_ms + (end_ms - start_ms) * (i + 1) // len(history) for i in range(len(history))]
        self.mirror.log(run_id, history, times_ms)
        self.mirror.finish(run_id, record, paths, end_ms)
        self.mirror.delete(run.info.run_id for run in incomplete)
