"""Runs on a Ray cluster: one task per run. Ray starts a task again if its process or its node is lost.

The driver sends the code to the nodes, and stores the results, task files and logits that they return. Data and weights
must lie on every node, under the same paths as on the driver.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import ray
from filelock import SoftFileLease
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import benchmarks
import methods
from benchmarks.executors import attempt, claims, node
from benchmarks.executors.attempt import Failure, OnEnd, Outcome
from benchmarks.executors.node import Files, Task
from benchmarks.executors.place import Listeners, Place
from benchmarks.files import writing
from benchmarks.files.contents import CACHE
from benchmarks.files.root import DATA_ROOT, data_root
from benchmarks.records import store
from benchmarks.records.spec import Epoch, Result, Spec
from benchmarks.training.provenance import provenance
from methods.errors import UserError, check

RETRIES = 3  # per run, if its process or node is lost
POLL_SECONDS = 0.5
REPORTS_SECONDS = 5.0  # after which the driver goes on without new epochs
CONNECT_SECONDS = 10.0
LOCAL_CLUSTER: dict[str, Any] = {  # settings of a cluster that the driver starts on this machine
    "worker_niceness": 0,  # Ray's default of 15 lets every other process go first
    "idle_worker_killing_time_threshold_ms": 60_000,  # after Ray's default of 1,000 the next run imports torch again
}
AHEAD = 2  # tasks sent per run that has room: the next one is there when a run ends


def execute(
    specs: Sequence[Spec], results: Path, place: Place, listeners: Listeners, *, again: bool, fail_fast: bool
) -> Outcome:
    """Execute runs as ``local.in_process`` does, on a cluster.

    Raises:
        WriteError: the results folder cannot be written, so further runs would be lost.
        UserError: Ray cannot be reached, or no node has room for a run.
    """
    _connect(place)
    with ExitStack() as stack:
        stack.callback(ray.shutdown)
        tasks = _Tasks(specs, results, place, again)
        stack.callback(tasks.release)
        return tasks.work(fail_fast, listeners)


class _Tasks:
    """The runs that were sent to the cluster, the runs that wait, and the outcome of the runs that have ended."""

    def __init__(self, specs: Sequence[Spec], results: Path, place: Place, again: bool) -> None:
        self.results, self.place, self.again = results.resolve(), place, again
        self.waiting, self.outcome = list(specs), Outcome()
        self.sent: dict[Any, tuple[Spec, SoftFileLease]] = {}
        self.specs = {spec.key: spec for spec in specs}
        self.reports, self.task = _reports(), _task(place)

    def work(self, fail_fast: bool, listeners: Listeners) -> Outcome:
        room = self._room()
        check(room > 0, f"no node of the Ray cluster has room for a run, which needs {_needs(self.place)}")
        while self.waiting or self.sent:
            room = max(room, self._room())
            limit = AHEAD * room if self.place.workers is None else self.place.workers
            while self.waiting and len(self.sent) < limit:
                self._send(self.waiting.pop(0))
            done, _ = ray.wait(list(self.sent), timeout=POLL_SECONDS) if self.sent else ([], [])
            for key, epoch in self._new_epochs():
                listeners.on_epoch(self.specs[key], epoch)
            for reference in done:
                self._take(reference, listeners.on_end)
            if fail_fast and self.outcome.failed:
                self.waiting = []
        return self.outcome

    def release(self) -> None:
        """Release the claims of runs that have not ended."""
        for spec, claim in self.sent.values():
            with suppress(writing.WriteError):  # a full disk was reported already
                store.write_trace(self.results, spec, "interrupted", "its driver ended")
            claim.release()

    def _send(self, spec: Spec) -> None:
        try:
            claim = attempt.begin(spec, self.results, again=self.again)
        except claims.AlreadyClaimed:
            self.outcome.others.append(spec)
            return
        here, code = Path.cwd(), provenance()
        task = Task(spec=spec, results=self.results, token=claim.token, place=self.place, folder=here, code=code)
        self.sent[self.task.options(name=str(spec)).remote(task, self.reports)] = spec, claim

    def _take(self, reference: Any, on_end: OnEnd) -> None:
        spec, claim = self.sent[reference]
        outcome, files = self._result(reference)
        try:
            for path, content in files.items():
                writing.write_atomic(self.results / path, content)
            ending = attempt.end(outcome, spec, self.results, claim)
        finally:
            claim.release()
            del self.sent[reference]
        self.outcome.add(spec, ending, on_end)

    def _result(self, reference: Any) -> tuple[Result | Failure, Files]:
        try:
            found: tuple[Result | Failure, Files] = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            return Failure(reason=str(error).strip().splitlines()[-1], traceback=str(error)), {}
        except ray.exceptions.RayError as error:
            return Failure(reason=f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"), {}
        return found

    def _new_epochs(self) -> list[tuple[str, Epoch]]:
        try:
            epochs: list[tuple[str, Epoch]] = ray.get(self.reports.take.remote(), timeout=REPORTS_SECONDS)
        except ray.exceptions.RayError:  # a run must not fail because its progress cannot be shown
            return []
        sent = {spec.key for spec, _ in self.sent.values()}
        return [(key, epoch) for key, epoch in epochs if key in sent]

    def _room(self) -> int:
        """Return how many runs would fit on the live nodes if these were empty."""
        needs, room = _needs(self.place), 0
        for each in ray.nodes():
            resources = each["Resources"] if each["Alive"] else {}
            room += int(min(resources.get(name, 0) / amount for name, amount in needs.items()))
        return room


def _connect(place: Place) -> None:
    """Connect Ray to the cluster. Without an address it starts a cluster on this machine."""
    _check_answers(place.address)
    variables = {DATA_ROOT: str(data_root())}
    if CACHE in os.environ:
        variables[CACHE] = os.path.abspath(os.environ[CACHE])
    packages = [str(Path(package.__path__[0])) for package in (benchmarks, methods)]
    own = {} if place.address else {"include_dashboard": False, "_system_config": LOCAL_CLUSTER}
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


def _check_answers(address: str | None) -> None:
    """Check that a process listens at HOST:PORT. Ray would try for many minutes."""
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


def _reports() -> Any:
    """Start the actor that collects epochs. It runs on the driver's node, and so lives as long as the driver."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_restarts=-1, scheduling_strategy=here)(node.Reports).remote()


def _task(place: Place) -> Any:
    """Make the remote function that executes a run. Ray starts a new process per GPU task, which frees GPU memory."""
    needs = _needs(place)
    options: dict[str, Any] = {"num_cpus": needs.pop("CPU", 0), "num_gpus": needs.pop("GPU", 0)}
    if "memory" in needs:
        options["memory"] = int(needs.pop("memory"))
    return ray.remote(max_retries=RETRIES, resources=needs, **options)(node.work)
