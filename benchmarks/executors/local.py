"""Runs on this machine: one after the other in this process, or side by side in worker processes."""

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
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.training.train import Epoch
from methods.errors import UserError

LIMIT = 4  # default number of workers on a CPU, at most: each holds a copy of torch and of the backbone
DEATHS = 2  # a run has failed when this many processes died while they executed it


def default(device: torch.device, runs: int) -> int:
    """Return the default number of workers: one per GPU, or one per core, as a second thread speeds up little."""
    places = len(devices(device)) if device.type == "cuda" else min(torch.get_num_threads(), LIMIT)
    return max(1, min(places, runs))


def devices(device: torch.device) -> list[torch.device]:
    """Return every GPU of this machine for ``cuda`` without an index, else the given device."""
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
    """Execute runs one after the other. With ``again`` a run that has a record is executed again.

    Raises:
        WriteError: the results folder cannot be written, so further runs would be lost.
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
    """Execute runs as ``in_process`` does, in worker processes, each with a device and torch's number of threads.

    If a worker dies, a new one takes its place, and its run is started once more after all the others.
    """
    found, threads = devices(device), torch.get_num_threads()
    settings = [
        Settings(results=results, device=found[n % len(found)], threads=threads, again=again) for n in range(workers)
    ]
    pool = _Pool(specs, results, settings)
    try:
        return pool.work(fail_fast, on_epoch, on_end)
    except KeyboardInterrupt:
        pool.kill()
        for worker in pool.busy.values():
            store.write_trace(results, worker.spec, "interrupted", "Ctrl-C")
        raise
    finally:
        pool.kill()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a worker needs to know; with ``again`` it executes runs that have a record."""

    results: Path
    device: torch.device
    threads: int
    again: bool


class Worker:
    """A process that executes one run at a time; ``spec`` is the last run that it was given."""

    spec: Spec

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connection, theirs = multiprocessing.Pipe()
        self.process = processes.start(_serve, settings, theirs)
        theirs.close()  # then the connection ends when the process dies

    def give(self, spec: Spec) -> None:
        """Send a run to the process."""
        self.spec = spec
        with suppress(BrokenPipeError):  # the process has just died; ``_receive`` will notice
            self.connection.send(spec)

    def replacement(self) -> Worker:
        """Start a new worker with the same settings."""
        return Worker(self.settings)


class _Pool:
    """The workers, the runs that wait for one, and the outcome of the runs that have ended."""

    def __init__(self, specs: Sequence[Spec], results: Path, settings: Sequence[Settings]) -> None:
        self.results, self.waiting, self.outcome = results, list(specs), Outcome()
        self.deaths: Counter[Spec] = Counter()
        self.busy: dict[Connection, Worker] = {}
        self.idle = [Worker(each) for each in settings]

    def work(self, fail_fast: bool, on_epoch: OnEpoch, on_end: OnEnd) -> Outcome:
        while self.waiting or self.busy:
            while self.waiting and self.idle:
                worker = self.idle.pop()
                if not worker.process.is_alive():  # it died while it had no run
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
        """Return an epoch, or how the run ended: None if it has a record, else the reason.

        Raises:
            UserError: the worker could not write into the results folder, or read what is there.
        """
        try:
            message: Epoch | AlreadyClaimed | UserError | str | None = worker.connection.recv()
        except (EOFError, OSError):  # OSError if the process died before it read what was sent
            worker.process.join()
            reason = f"its process died with exit code {worker.process.exitcode}; -9 often means that memory ran out"
            store.write_trace(self.results, worker.spec, "failed", reason)
            return reason
        if isinstance(message, UserError):
            raise message
        return message

    def _ended(self, worker: Worker, message: AlreadyClaimed | str | None, fail_fast: bool) -> bool:
        """Record how a run ended; return whether this driver is done with it."""
        del self.busy[worker.connection]
        died = not worker.process.is_alive()
        self.idle.append(worker.replacement() if died else worker)
        self.deaths[worker.spec] += died
        if isinstance(message, AlreadyClaimed):
            self.outcome.others.append(worker.spec)
            return False
        if died and self.deaths[worker.spec] < DEATHS and not fail_fast:
            self.waiting.append(worker.spec)  # behind all others: there may be more memory then
            return False
        if message is not None:
            self.outcome.failed[worker.spec] = message
            self.waiting = [] if fail_fast else self.waiting
        return True


def _serve(settings: Settings, connection: Connection) -> None:
    """Execute the runs that arrive; send every epoch, and how each run ended."""
    torch.set_num_threads(settings.threads)
    if settings.device.type == "cuda":
        torch.cuda.set_device(settings.device)
    send = partial(_send, connection)
    while True:
        spec: Spec = connection.recv()
        try:
            connection.send(attempt.attempt(spec, settings.results, settings.device, send, again=settings.again))
        except (AlreadyClaimed, UserError) as error:
            connection.send(error)


def _send(connection: Connection, epoch: Epoch) -> None:
    connection.send(epoch)
