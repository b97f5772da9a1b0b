"""A real MLflow server on loopback, and functions that read MLflow's copy of a results folder."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.records import store
from benchmarks.tracking import fields, mirror


def until(true: Callable[[], Any], seconds: float = 300) -> Any:
    """Wait until ``true`` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
    return value


def client(uri: str) -> Any:
    mirror.prepare()
    from mlflow import MlflowClient

    return MlflowClient(uri)


def runs(uri: str, results: Path) -> list[Any]:
    """Return MLflow's runs for a results folder, including the runs of its sweeps."""
    mlflow = client(uri)
    experiment = mlflow.get_experiment_by_name("offline")
    found = mlflow.search_runs([experiment.experiment_id]) if experiment else []
    return [r for r in found if r.data.tags[fields.ORIGIN] == mirror.origin(results)]


def mirrored(uri: str, results: Path) -> dict[str, tuple[Any, ...]]:
    """Return by key, for each complete run in MLflow: status, history, final numbers and learning rate."""
    complete = {fields.KEY, fields.COMPLETE}
    mlflow, found = client(uri), [r for r in runs(uri, results) if complete <= set(r.data.tags)]
    rows = {}
    for one in found:
        metrics, curves = one.data.metrics, {}
        for name in [name for name in metrics if "/" not in name]:
            history = mlflow.get_metric_history(one.info.run_id, name)
            curves[name] = [(point.step, point.value) for point in history]
            del metrics[name]
        rows[one.data.tags[fields.KEY]] = (one.info.status, curves, metrics, one.data.params["config.lr"])
    assert len(rows) == len(found), "two runs of one key"
    return rows


def recorded(results: Path) -> dict[str, tuple[Any, ...]]:
    """Return the same as ``mirrored``, from the records alone."""
    rows = {}
    for record in store.records(results):
        curves = {n: [(row["epoch"], row[n]) for row in record["history"]] for n in ("train_loss", "lr")}
        accuracy = {n: record["accuracy"][n] for n in ("test", "test_samples", "epoch")}
        final = {"cost": record["cost"], "params": record["params"], "accuracy": accuracy}
        (numbers,) = pd.json_normalize(final, sep="/").to_dict("records")
        rows[record["key"]] = ("FINISHED", curves, numbers, str(record["spec"]["config"]["lr"]))
    return rows


class Server:
    """A real ``mlflow server`` on loopback that serves artifacts."""

    def __init__(self, folder: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        place = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        artifacts = ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
        self.command = [sys.executable, "-m", "mlflow", "server", *place, *artifacts, *address]
        self.log = folder / "log"

    def start(self):
        environment = {**os.environ, **mirror.SETTINGS, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True, env=environment
            )

    def wait(self):
        until(self.answers)

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
