"""Reads and writes one experiment of MLflow. No other module imports mlflow."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import masked
from benchmarks.records import evidence, store
from benchmarks.tables import tidy
from benchmarks.tracking import accuracies, experiment, fields
from benchmarks.tracking.address import sqlite_path
from methods.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# MLflow's limits per request
BATCH, RUNS_A_PAGE = {"metrics": 1000, "params": 100}, 1000
SETTINGS = {
    # give up a server that does not answer after half a minute; MLflow's defaults take a quarter of an hour
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Mirror:
    """The runs of one suite in MLflow. Every method may raise the exceptions that ``failures`` lists.

    If files cannot be uploaded, ``warn`` is called once, and runs are uploaded without files.

    Raises:
        UserError: the experiment of the suite is deleted.
    """

    def __init__(self, uri: str, suite: str, warn: Callable[[str], None]) -> None:
        prepare()
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)
        self.experiment = _experiment(self.client, uri, suite)
        self._warn, self._takes_files = warn, True
        self._running = set[str]()

    def start(self, name: str, tags: Mapping[str, str], params: Mapping[str, str], start_ms: int) -> str:
        """Start a run and return its id in MLflow."""
        from mlflow.entities import Param

        source = {"mlflow.source.name": "peft-vision-bench", "mlflow.source.type": "LOCAL", "mlflow.user": _user()}
        run = self.client.create_run(self.experiment, start_time=start_ms, run_name=name, tags={**source, **tags})
        run_id = str(run.info.run_id)
        self._running.add(run_id)
        self._log(run_id, "params", [Param(name, value) for name, value in params.items()])
        return run_id

    def start_run(
        self, key: str, spec: Mapping[str, Any], tags: Mapping[str, str], start_ms: int, name: str = ""
    ) -> str:
        """Start the run of a spec and return its id in MLflow. It gets ``tags``, the tags of the spec, and its data."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        named = {**tags, **fields.tags(key, spec)}
        run_id = self.start(name or fields.name(spec), named, fields.params(spec), start_ms)
        context = InputTag("mlflow.data.context", "training and test")
        self.client.log_inputs(run_id, [DatasetInput(Dataset(**fields.data(spec)), [context])])
        return run_id

    def log(self, run_id: str, rows: Iterable[Mapping[str, Any]], times_ms: Iterable[int]) -> None:
        """Log epochs of a record's history, each with its time."""
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, time, row["epoch"])
            for row, time in zip(rows, times_ms, strict=True)
            for name, value in fields.per_epoch(row).items()
        ]
        self._log(run_id, "metrics", metrics)

    def numbers(self, run_id: str, values: Mapping[str, float | None], time_ms: int) -> None:
        """Log numbers that are no curve; those that are None are left out."""
        from mlflow.entities import Metric

        known = [Metric(name, value, time_ms, 0) for name, value in values.items() if value is not None]
        self._log(run_id, "metrics", known)

    def finish(self, run_id: str, record: Mapping[str, Any], files: Iterable[Path], end_ms: int) -> None:
        """Log everything in a record except its history. A run is complete once this returns."""
        from mlflow.entities import RunTag

        from benchmarks.figures import curve

        self.numbers(run_id, fields.final(record), end_ms)
        self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in fields.outcome(record).items()])
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder, "training.png")
            curve.draw(record).savefig(picture)
            self._upload(run_id, [*files, picture])
        self.end(run_id, "FINISHED", end_ms, complete=record[evidence.DIGEST])

    def finish_sweep(self, run_id: str, results: Path, end_ms: int) -> None:
        """Upload the accuracies of a sweep's runs, the tables and the plots of a results folder, and end its run."""
        ours = f"tags.`{fields.PARENT}` = '{run_id}' and attributes.status = 'FINISHED'"
        found = accuracies.of_runs(results, {run.data.tags.get(fields.KEY, "") for run in self.runs(ours)})
        self.numbers(run_id, found, end_ms)
        tables = {*results.glob("leaderboard.*"), *(path for name in tidy.TABLES if (path := results / name).exists())}
        self._upload(run_id, [*sorted(tables), *results.glob("figures")])
        self.end(run_id, "FINISHED", end_ms, complete="sweep")

    def end(self, run_id: str, status: str, end_ms: int, *, complete: str = "", reason: str = "") -> None:
        """End a run. ``complete`` is the value of the tag that marks a complete run; it is set last."""
        if reason:
            self.client.set_tag(run_id, "reason", fields.text(reason))
        self.client.set_terminated(run_id, status, end_ms)
        self._running.discard(run_id)
        if complete:
            self.client.set_tag(run_id, fields.COMPLETE, complete)

    def abandon(self) -> None:
        """Mark the runs that were started here and have not ended as killed, if MLflow answers."""
        with suppress(*failures()):
            for run_id in sorted(self._running):
                self.end(run_id, "KILLED", int(time.time() * 1000))

    def delete(self, run_ids: Iterable[str]) -> None:
        """Mark runs as deleted. MLflow can restore them."""
        for run_id in run_ids:
            self.client.delete_run(run_id)

    def runs(self, condition: str = "") -> Iterator[Run]:
        """Yield the runs of this experiment, the latest first; one request per page."""
        token: str | None = None
        while token != "":
            page = self.client.search_runs([self.experiment], condition, max_results=RUNS_A_PAGE, page_token=token)
            yield from page
            token = page.token or ""

    def _upload(self, run_id: str, paths: Iterable[Path]) -> None:
        """Upload files, and folders under their names. After a failure no file is uploaded any more."""
        if not self._takes_files:
            return
        try:
            for path in paths:
                if path.is_dir():
                    self.client.log_artifacts(run_id, str(path), path.name)
                else:
                    self.client.log_artifact(run_id, str(path))
        except Exception as error:  # each kind of storage has exceptions of its own
            self._takes_files = False
            self._warn(
                f"MLflow takes no files ({reason(error)}), so runs are uploaded without them; "
                "check the artifact location of the experiment"
            )

    def _log(self, run_id: str, kind: str, entries: Sequence[Any]) -> None:
        size = BATCH[kind]
        for i in range(0, len(entries), size):
            batch: dict[str, Any] = {kind: entries[i : i + size]}
            self.client.log_batch(run_id, **batch)


def prepare() -> None:
    """Import mlflow, which takes seconds. The environment overrules SETTINGS."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it reports every retry
    import mlflow  # noqa: F401


def failures() -> tuple[type[Exception], ...]:
    """Return what MLflow raises if it does not answer, refuses, lacks a database driver, or finds other tables."""
    from alembic.util.exc import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, CommandError, OSError, ImportError)


def reason(error: BaseException) -> str:
    """Return one short line about why MLflow failed: the first cause, without the retries and without passwords."""
    if isinstance(error, UserError):
        return str(error)
    first = error
    while (cause := first.__cause__ or first.__context__) is not None:
        first = cause
    words = " ".join(masked(str(first)).split())
    return f"{type(first).__name__}: {words[:200]}"


def origin(results: Path) -> str:
    """Return a digest that identifies a results folder on this machine and does not reveal its path."""
    return hashlib.sha256(f"{platform.node()}:{results.resolve()}".encode()).hexdigest()[:16]


def files(results: Path, stem: str) -> list[Path]:
    """Return the paths of a run's record and, if it exists, of its task file."""
    adapter = results / store.ADAPTERS / f"{stem}.safetensors"
    return [results / store.RUNS / f"{stem}.json", *([adapter] if adapter.exists() else [])]


def _experiment(client: MlflowClient, uri: str, suite: str) -> str:
    """Return the id of the suite's experiment; create it if it is missing."""
    from mlflow.exceptions import MlflowException

    if (found := client.get_experiment_by_name(suite)) is not None:
        if found.lifecycle_stage == "deleted":
            experiment.refuse(uri, suite, str(found.experiment_id))
        return str(found.experiment_id)
    database = sqlite_path(uri)
    # artifacts lie beside the database, whatever the current folder is
    place = (database.parent / "mlartifacts" / suite).as_uri() if database else None
    try:
        return str(client.create_experiment(suite, artifact_location=place))
    except MlflowException:  # another sweep may have created it meanwhile
        if (found := client.get_experiment_by_name(suite)) is None:
            raise
        return str(found.experiment_id)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
