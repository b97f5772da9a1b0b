"""Runs on a Ray cluster: a task each, begun again where a process or a node is lost; the driver keeps what comes back.

The code travels to the nodes, results and task files come back. Data and weights must lie on every node under the
driver's paths.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import benchmarks
import methods
from benchmarks.executors import attempt, claims, node
from benchmarks.executors.attempt import Failure, OnEnd, OnEpoch, Outcome
from benchmarks.executors.node import Task
from benchmarks.files import writing
from benchmarks.files.contents import CACHE
from benchmarks.files.root import DATA_ROOT, data_root
from benchmarks.records import store
from benchmarks.records.spec import Result, Spec
from benchmarks.training.environment import environment
from methods.errors import UserError, check

if TYPE_CHECKING:
    from filelock import SoftFileLease

    from benchmarks.executors.place import Place
    from benchmarks.training.train import Epoch

RETRIES = 3  # of a run whose process or node is lost
POLL_SECONDS = 0.5
NEWS_SECONDS = 5.0  # that a driver waits for them
CONNECT_SECONDS = 10.0
OWN: dict[str, Any] = {  # settings of a cluster that is started here
    "worker_niceness": 0,  # of Ray's 15, with which runs would wait for whatever else the machine does
    "idle_worker_killing_time_threshold_ms": 60_000,  # of Ray's 1,000, after which the next run would import torch
}
AHEAD = 2  # runs sent for each that there is room for, so that none waits for the driver


def execute(
    specs: Sequence[Spec],
    results: Path,
    place: Place,
    *,
    again: bool,
    fail_fast: bool,
    on_epoch: OnEpoch,
    on_end: OnEnd,
) -> Outcome:
    """As ``local.in_process``, on a cluster.

    Raises:
        WriteError: the results folder takes no more files, so going on would lose work.
        UserError: Ray is not installed or not reached, or no node has room for a run.
    """
    ray = _connect(place)
    try:
        flight = _Flight(ray, specs, results, place, again)
        try:
            return flight.work(fail_fast, on_epoch, on_end)
        finally:
            flight.land()
    finally:
        ray.shutdown()


class _Flight:
    """Runs that are on the cluster, those that wait, and what came of the others."""

    def __init__(self, ray: Any, specs: Sequence[Spec], results: Path, place: Place, again: bool) -> None:
        self.ray, self.results, self.place, self.again = ray, results.resolve(), place, again
        self.waiting, self.outcome = list(specs), Outcome()
        self.flying: dict[Any, tuple[Spec, SoftFileLease]] = {}
        self.specs = {spec.key: spec for spec in specs}
        self.news, self.task = _news(ray), _task(ray, place)

    def work(self, fail_fast: bool, on_epoch: OnEpoch, on_end: OnEnd) -> Outcome:
        room = self._room()
        check(room > 0, f"no node of the Ray cluster has room for a run, which needs {_needs(self.place)}")
        while self.waiting or self.flying:
            room = max(room, self._room())
            limit = AHEAD * room if self.place.workers is None else self.place.workers
            while self.waiting and len(self.flying) < limit:
                self._send(self.waiting.pop(0))
            done, _ = self.ray.wait(list(self.flying), timeout=POLL_SECONDS) if self.flying else ([], [])
            for key, epoch in self._heard():
                on_epoch(self.specs[key], epoch)
            for reference in done:
                self._take(reference, fail_fast, on_end)
        return self.outcome

    def land(self) -> None:
        """Give back the claims of runs that did not come back."""
        for spec, claim in self.flying.values():
            with suppress(writing.WriteError):  # of a full disk, which is shown already
                store.write_trace(self.results, spec, "interrupted", "its driver ended")
            claim.release()

    def _send(self, spec: Spec) -> None:
        try:
            claim = attempt.begin(spec, self.results, again=self.again)
        except claims.AlreadyClaimed:
            self.outcome.others.append(spec)
            return
        code = {name: environment()[name] for name in ("commit", "dirty")}
        task = Task(
            spec=spec,
            results=self.results,
            token=claim.token,
            device=self.place.device.type,
            threads=self.place.cpus,
            folder=Path.cwd(),
            code=code,
        )
        self.flying[self.task.options(name=str(spec)).remote(task, self.news)] = spec, claim

    def _take(self, reference: Any, fail_fast: bool, on_end: OnEnd) -> None:
        spec, claim = self.flying[reference]
        outcome, file = self._result(reference)
        try:
            if file is not None:
                writing.write_atomic(store.adapter_path(self.results, spec), file)
            reason = attempt.end(outcome, spec, self.results, claim)
        except claims.AlreadyClaimed:
            self.outcome.others.append(spec)
            return
        finally:
            claim.release()
            del self.flying[reference]
        on_end(spec)
        if reason is not None:
            self.outcome.failed[spec] = reason
            self.waiting = [] if fail_fast else self.waiting

    def _result(self, reference: Any) -> tuple[Result | Failure, bytes | None]:
        try:
            found: tuple[Result | Failure, bytes | None] = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            return Failure(reason=str(error).strip().splitlines()[-1], traceback=str(error)), None
        except self.ray.exceptions.RayError as error:
            return Failure(reason=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"), None
        return found

    def _heard(self) -> list[tuple[str, Epoch]]:
        try:
            heard: list[tuple[str, Epoch]] = self.ray.get(self.news.take.remote(), timeout=NEWS_SECONDS)
        except self.ray.exceptions.RayError:  # what is shown is worth no run
            return []
        flying = {spec.key for spec, _ in self.flying.values()}
        return [(key, epoch) for key, epoch in heard if key in flying]

    def _room(self) -> int:
        """How many runs fit on the nodes that are alive, were they empty."""
        needs, room = _needs(self.place), 0
        for place in self.ray.nodes():
            has = place["Resources"] if place["Alive"] else {}
            room += int(min(has.get(name, 0) / amount for name, amount in needs.items()))
        return room


def _connect(place: Place) -> Any:
    """Ray, connected to the cluster, or to one that it starts on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 30 seconds, to reach a head that is gone; Ray has 20
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # Ray's own number knows no end
    try:
        import ray
    except ImportError:
        raise UserError("--executor ray needs Ray: pip install '.[ray]'") from None
    _check_answers(place.address)
    variables = {DATA_ROOT: str(data_root())}
    if CACHE in os.environ:
        variables[CACHE] = os.path.abspath(os.environ[CACHE])
    packages = [str(Path(package.__path__[0])) for package in (benchmarks, methods)]
    own = {} if place.address else {"include_dashboard": False, "_system_config": OWN}
    try:
        ray.init(
            address=place.address or "local",
            runtime_env={"py_modules": packages, "env_vars": variables},
            log_to_driver=False,
            logging_level="ERROR",
            **own,
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(_unreached(place.address or "this machine", reason)) from None
    return ray


def _check_answers(address: str | None) -> None:
    """See that somebody listens at HOST:PORT, for Ray would try for many minutes."""
    found = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address or ""
    host, _, port = found.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(_unreached(found, str(error))) from None


def _unreached(place: str, reason: str) -> str:
    return f"cannot reach Ray at {place}: {reason}; start it with ray start --head, or leave out --address"


def _needs(place: Place) -> dict[str, float]:
    amounts = {"CPU": float(place.cpus), "GPU": float(place.gpus)}
    amounts |= {name: float(amount) for name, amount in place.resources.items()}
    return {name: amount for name, amount in amounts.items() if amount > 0}


def _news(ray: Any) -> Any:
    """Where the epochs of all runs come together: on the driver's node, so that it lives as long as the driver."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(node.News).remote()


def _task(ray: Any, place: Place) -> Any:
    """What runs are sent to; with a GPU each begins in a process of its own, as Ray has it, so memory is given back."""
    needs = _needs(place)
    options: dict[str, Any] = {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0)}
    if "memory" in needs:
        options["memory"] = int(needs.pop("memory"))
    return ray.remote(max_retries=RETRIES, resources=needs, **options)(node.work)
