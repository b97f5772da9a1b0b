"""What a node of a cluster does: one run, with the code that came and the data and weights that are there.

Where the node shares the driver's results folder a run works in it, so that what it has done in stages outlives the
node; elsewhere it works in a folder that goes with it, and its task file is sent back with the result.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import backbones, suites
from benchmarks.executors import claims
from benchmarks.executors.attempt import Failure
from benchmarks.records import store
from benchmarks.records.spec import Result, Spec
from benchmarks.training.run import run
from methods.errors import check

if TYPE_CHECKING:
    from benchmarks.training.train import Epoch


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a node is told of a run: the driver's folders, the token of its claim, and the commit of its code."""

    spec: Spec
    results: Path
    token: str | None
    device: str
    threads: int
    folder: Path
    code: dict[str, Any]


def work(task: Task, news: Any) -> tuple[Result | Failure, bytes | None]:
    """A run's result, or the reason why there is none, and its task file if that lies on this node alone."""
    torch.set_num_threads(task.threads)
    if task.folder.is_dir():
        os.chdir(task.folder)  # from where relative paths of weights count
    try:
        _see_files(task.spec)
        with TemporaryDirectory() as own:
            shared = claims.here(task.results, task.spec, task.token)
            results = task.results if shared else Path(own)
            tell = partial(_tell, news, task.spec.key)
            result = run(task.spec, results, torch.device(task.device), tell)
            file = None if shared else store.adapter_path(results, task.spec).read_bytes()
    except Exception as error:  # of this run, whatever it is: the driver tells it
        return Failure.of(error), None
    return replace(result, environment=result.environment | task.code), file


class News:
    """An actor: the epochs that nodes have told of and the driver has not heard yet."""

    def __init__(self) -> None:
        self._heard: list[tuple[str, Epoch]] = []

    def put(self, key: str, epoch: Epoch) -> None:
        self._heard.append((key, epoch))

    def take(self) -> list[tuple[str, Epoch]]:
        heard, self._heard = self._heard, []
        return heard


def _tell(news: Any, key: str, epoch: Epoch) -> None:
    import ray

    with suppress(ray.exceptions.RayError):  # what a driver shows is worth no run
        news.put.remote(key, epoch)  # and not waited for: Ray lends the CPU of a task that waits to another


def _see_files(spec: Spec) -> None:
    """See that this node has the weights and the data that the run is of.

    Raises:
        UserError: it has not.
    """
    weights = backbones.source(spec.backbone.name).sha256
    check(weights == spec.backbone.sha256, f"other weights of {spec.backbone.name} on node {os.uname().nodename}")
    data = _fingerprint(spec.suite, spec.task)
    check(data == spec.data_fingerprint, f"other data of {spec.task} on node {os.uname().nodename}")


@cache
def _fingerprint(suite: str, task: str) -> str:
    return suites.get(suite).fingerprint(task)
