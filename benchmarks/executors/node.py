"""What a node of a Ray cluster does with one run. The code comes from the driver; data and weights are on the node.

If the node shares the driver's results folder, the run works in that folder, and the stages that it has finished
survive the node. Otherwise the run works in a temporary folder, and its task file and logits come back with the result.
"""

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks import backbones, suites
from benchmarks.executors import claims
from benchmarks.executors.attempt import Failure
from benchmarks.executors.place import Place
from benchmarks.records import logits, store
from benchmarks.records.spec import Epoch, Result, Spec
from benchmarks.training.run import run
from methods.errors import check

Files = dict[str, bytes]  # contents by their paths below a results folder


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a node needs for a run; ``folder`` is the driver's folder, ``token`` is that of its claim."""

    spec: Spec
    results: Path
    token: str | None
    place: Place
    folder: Path
    code: dict[str, Any]


def work(task: Task, reports: Any) -> tuple[Result | Failure, Files]:
    """Execute a run. Return its result or failure, and its task file and logits if only this node has them.

    ``reports`` is the handle of a ``Reports`` actor.
    """
    torch.set_num_threads(task.place.cpus)
    if task.folder.is_dir():
        os.chdir(task.folder)  # relative paths of weights start there
    try:
        _check_files(task.spec)
        with TemporaryDirectory() as own:
            shared = claims.visible(task.results, task.spec, task.token)
            results = task.results if shared else Path(own)
            device, on_epoch = torch.device(task.place.device.type), partial(_report, reports, task.spec.key)
            result = run(task.spec, results, device, on_epoch)
            files = {} if shared else _made(results)
    except Exception as error:  # the driver stores it in the run's trace, with the traceback
        return Failure.from_error(error), {}
    return replace(result, environment=result.environment | task.code), files


def _made(results: Path) -> Files:
    folders = (results / store.ADAPTERS, results / logits.FOLDER)
    made = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(results).as_posix(): path.read_bytes() for path in made}


class Reports:
    """A Ray actor that collects the epochs of all nodes until the driver takes them."""

    def __init__(self) -> None:
        self._epochs: list[tuple[str, Epoch]] = []

    def put(self, key: str, epoch: Epoch) -> None:
        """Add an epoch of the run with this key."""
        self._epochs.append((key, epoch))

    def take(self) -> list[tuple[str, Epoch]]:
        """Return the epochs that were added since the last call."""
        epochs, self._epochs = self._epochs, []
        return epochs


def _report(reports: Any, key: str, epoch: Epoch) -> None:
    import ray  # only a node of a cluster needs it

    with suppress(ray.exceptions.RayError):  # a run must not fail because its progress cannot be shown
        reports.put.remote(key, epoch)  # without waiting: Ray lends the CPU of a waiting task to another task


def _check_files(spec: Spec) -> None:
    """Check that this node has the weights and the data of the spec."""
    node = f"node {os.uname().nodename}"
    weights = backbones.source(spec.backbone.name).sha256
    check(
        weights == spec.backbone.sha256,
        f"{node} has other weights of {spec.backbone.name} than the driver; copy them to it",
    )
    data = _fingerprint(spec.suite, spec.task, spec.seed)
    check(data == spec.data_fingerprint, f"{node} has other data of {spec.task} than the driver; copy it there")


@cache
def _fingerprint(suite: str, task: str, seed: int) -> str:
    return suites.get(suite).of_seed(seed).fingerprint(task)
