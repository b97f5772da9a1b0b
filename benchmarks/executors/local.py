"""Runs on this machine: in this process, or side by side in processes that are sent one run at a time."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from benchmarks.executors import attempt, processes
from benchmarks.executors.attempt import OnEnd, OnEpoch, Outcome
from benchmarks.executors.claims import AlreadyClaimed
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.training.train import Epoch

LIMIT = 4  # processes by default on a CPU: each has its own copy of torch and of the backbone
DEATHS = 2  # a run has failed when its process has died so often


def default(device: torch.device, runs: int) -> int:
    """The number of workers: one per GPU; on a CPU one per core, as small models gain little from a second thread."""
    places = len(devices(device)) if device.type == "cuda" else min(torch.get_num_threads(), LIMIT)
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
        WriteError: the results folder takes no more files, so going on would lose work.
    """
    outcome = Outcome()
    for spec in specs:
        try:
            reason = attempt.attempt(spec, results, device, partial(on_epoch, spec), again=again)
        except AlreadyClaimed:
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
    settings = [
        Settings(results=results, device=found[n % len(found)], threads=threads, again=again) for n in range(workers)
    ]
    crew = _Crew(specs, results, settings)
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
class Settings:
    """How a worker runs: its results folder, its device, its threads, and whether finished runs are run again."""

    results: Path
    device: torch.device
    threads: int
    again: bool


class Worker:
    """A process that runs one spec at a time, and the last spec that it was given."""

    spec: Spec

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection, theirs = multiprocessing.Pipe()
        self.process = processes.start(_serve, settings, theirs)
        theirs.close()  # so that the death of the process ends the connection

    def give(self, spec: Spec) -> None:
        """Have the process run a spec."""
        self.spec = spec
        with suppress(BrokenPipeError):  # the process has just died; the next receive says so
            self.connection.send(spec)

    def replacement(self) -> Worker:
        """A new worker with the same settings."""
        return Worker(self.settings)


class _Crew:
    """Workers, the runs that wait for them, and what came of the others."""

    def __init__(self, specs: Sequence[Spec], results: Path, settings: Sequence[Settings]) -> None:
        self.results, self.waiting, self.outcome = results, list(specs), Outcome()
        self.deaths: Counter[Spec] = Counter()
        self.busy: dict[Connection, Worker] = {}
        self.idle = [Worker(each) for each in settings]

    def work(self, fail_fast: bool, on_epoch: OnEpoch, on_end: OnEnd) -> Outcome:
        while self.waiting or self.busy:
            while self.waiting and self.idle:
                worker = self.idle.pop()
                if not worker.process.is_alive():  # it died with nothing in hand
                    worker = worker.replacement()
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

    def _receive(self, worker: Worker) -> Epoch | AlreadyClaimed | str | None:
        """An epoch, or how the run ended: None if well, else the reason.

        Raises:
            WriteError: the worker could not write into the results folder.
        """
        try:
            message: Epoch | AlreadyClaimed | WriteError | str | None = worker.connection.recv()
        except (EOFError, OSError):  # the second where it had not read what was sent
            worker.process.join()
            reason = f"its process died with exit code {worker.process.exitcode}; -9 may be for want of memory"
            store.write_trace(self.results, worker.spec, "failed", reason)
            return reason
        if isinstance(message, WriteError):
            raise message
        return message

    def _ended(self, worker: Worker, message: AlreadyClaimed | str | None, fail_fast: bool) -> bool:
        """Take up what a run came to; whether that is its end here."""
        del self.busy[worker.connection]
        died = not worker.process.is_alive()
        self.idle.append(worker.replacement() if died else worker)
        self.deaths[worker.spec] += died
        if isinstance(message, AlreadyClaimed):
            self.outcome.others.append(worker.spec)
            return False
        if died and self.deaths[worker.spec] < DEATHS and not fail_fast:
            self.waiting.append(worker.spec)  # the last, when there may be more memory
            return False
        if message is not None:
            self.outcome.failed[worker.spec] = message
            self.waiting = [] if fail_fast else self.waiting
        return True


def _serve(settings: Settings, connection: Connection) -> None:
    """A worker's life: run what comes, tell every epoch and the end."""
    torch.set_num_threads(settings.threads)
    if settings.device.type == "cuda":
        torch.cuda.set_device(settings.device)
    while True:
        spec: Spec = connection.recv()
        tell = partial(_send, connection)
        try:
            connection.send(attempt.attempt(spec, settings.results, settings.device, tell, again=settings.again))
        except (AlreadyClaimed, WriteError) as error:
            connection.send(error)


def _send(connection: Connection, epoch: Epoch) -> None:
    connection.send(epoch)
