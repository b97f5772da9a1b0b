"""Runs on this machine: in this process, or side by side in processes that are sent one run at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from benchmarks import ahead, executors, store
from benchmarks.executors import OnEnd, OnEpoch, Outcome
from benchmarks.executors.claims import Held
from benchmarks.spec import Spec
from benchmarks.train import Epoch

DEATHS = 2  # of its process, after which a run has failed


def default(device: torch.device, runs: int) -> int:
    """A worker a GPU; on a CPU one a core, for small models gain little from a second thread."""
    places = len(devices(device)) if device.type == "cuda" else min(torch.get_num_threads(), ahead.LIMIT)
    return max(1, min(places, runs))


def devices(device: torch.device) -> list[torch.device]:
    """Every GPU of this machine if none was named, else the one device."""
    if device.type != "cuda" or device.index is not None:
        return [device]
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())]


def in_process(
    specs: Sequence[Spec],
    results: Path,
    device: torch.device,
    *,
    again: bool,
    fail_fast: bool,
    on_epoch: OnEpoch,
    on_end: OnEnd,
) -> Outcome:
    """Run one after the other and store each record at once; with ``again`` also those that have one.

    Raises:
        OSError: the results folder stopped taking files, so going on would lose work.
    """
    outcome = Outcome()
    for spec in specs:
        try:
            reason = executors.attempt(spec, results, device, partial(on_epoch, spec), again=again)
        except Held:
            outcome.others.append(spec)
            continue
        on_end(spec)
        if reason is not None:
            outcome.failed[spec] = reason
            if fail_fast:
                break
    return outcome


def side_by_side(
    specs: Sequence[Spec],
    results: Path,
    device: torch.device,
    *,
    workers: int,
    again: bool,
    fail_fast: bool,
    on_epoch: OnEpoch,
    on_end: OnEnd,
) -> Outcome:
    """As ``in_process``, in several processes, each with a device and as many threads as torch has here.

    A run whose process died is begun once more, behind all the others; another process takes the dead one's place.
    """
    found, threads = devices(device), torch.get_num_threads()
    places = [
        Place(results=results, device=found[n % len(found)], threads=threads, again=again) for n in range(workers)
    ]
    crew = _Crew(specs, results, places)
    try:
        return crew.work(fail_fast, on_epoch, on_end)
    except KeyboardInterrupt:
        crew.kill()
        for worker in crew.busy.values():
            store.write_trace(results, worker.spec, "interrupted", "Ctrl-C")
        raise
    finally:
        crew.kill()


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a worker's runs happen."""

    results: Path
    device: torch.device
    threads: int
    again: bool


class Worker:
    """A process that runs what it is given in one place, and the run that it had in hand last."""

    spec: Spec

    def __init__(self, place: Place) -> None:
        spare = ahead.take()
        self.place, self.process, self.connection = place, spare.process, spare.connection
        self._send(partial(_serve, place))

    def give(self, spec: Spec) -> None:
        self.spec = spec
        self._send(spec)

    def another(self) -> Worker:
        return Worker(self.place)

    def _send(self, what: object) -> None:
        with suppress(BrokenPipeError):  # it has just died, which is heard next
            self.connection.send(what)


class _Crew:
    """Workers, the runs that wait for them, and what came of the others."""

    def __init__(self, specs: Sequence[Spec], results: Path, places: Sequence[Place]) -> None:
        self.results, self.waiting, self.outcome = results, list(specs), Outcome()
        self.deaths: Counter[Spec] = Counter()
        self.busy: dict[Connection, Worker] = {}
        self.idle = [Worker(place) for place in places]

    def work(self, fail_fast: bool, on_epoch: OnEpoch, on_end: OnEnd) -> Outcome:
        while self.waiting or self.busy:
            while self.waiting and self.idle:
                worker = self.idle.pop()
                if not worker.process.is_alive():  # it died with nothing in hand
                    worker = worker.another()
                worker.give(self.waiting.pop(0))
                self.busy[worker.connection] = worker
            for connection in wait(list(self.busy)):
                worker = self.busy[connection]  # type: ignore[index]
                message = self._receive(worker)
                if isinstance(message, dict):
                    on_epoch(worker.spec, message)
                elif self._ended(worker, message, fail_fast):
                    on_end(worker.spec)
        return self.outcome

    def kill(self) -> None:
        for worker in (*self.busy.values(), *self.idle):
            worker.process.kill()
            worker.process.join()

    def _receive(self, worker: Worker) -> Epoch | Held | str | None:
        """An epoch, or how the run ended: None if well, else the reason.

        Raises:
            OSError: the worker could not write into the results folder.
        """
        try:
            message: Epoch | Held | OSError | str | None = worker.connection.recv()
        except (EOFError, OSError):  # the second where it had not read what was sent
            worker.process.join()
            reason = f"its process died with exit code {worker.process.exitcode}; -9 may be for want of memory"
            store.write_trace(self.results, worker.spec, "failed", reason)
            return reason
        if isinstance(message, OSError):
            raise message
        return message

    def _ended(self, worker: Worker, message: Held | str | None, fail_fast: bool) -> bool:
        """Take up what a run came to; whether that is its end here."""
        del self.busy[worker.connection]
        died = not worker.process.is_alive()
        self.idle.append(worker.another() if died else worker)
        self.deaths[worker.spec] += died
        if isinstance(message, Held):
            self.outcome.others.append(worker.spec)
            return False
        if died and self.deaths[worker.spec] < DEATHS and not fail_fast:
            self.waiting.append(worker.spec)  # the last, when there may be more memory
            return False
        if message is not None:
            self.outcome.failed[worker.spec] = message
            self.waiting = [] if fail_fast else self.waiting
        return True


def _serve(place: Place, connection: Connection) -> None:
    """A worker's life: run what comes, tell every epoch and the end."""
    torch.set_num_threads(place.threads)
    if place.device.type == "cuda":
        torch.cuda.set_device(place.device)
    while True:
        spec: Spec = connection.recv()
        tell = partial(_send, connection)
        try:
            connection.send(executors.attempt(spec, place.results, place.device, tell, again=place.again))
        except (Held, OSError) as error:
            connection.send(error)


def _send(connection: Connection, epoch: Epoch) -> None:
    connection.send(epoch)
