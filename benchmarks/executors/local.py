"""Runs on this machine: one after the other in this process, or side by side in worker processes."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from benchmarks.executors import attempt, processes, schedule
from benchmarks.executors.attempt import Ending, OnEnd, Outcome
from benchmarks.executors.claims import AlreadyClaimed, Watch
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import store
from benchmarks.records.spec import Epoch, Spec
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


def execute(
    specs: Sequence[Spec], results: Path, place: Place, listeners: Listeners, *, again: bool, fail_fast: bool
) -> Outcome:
    """Execute runs in this process, or in several worker processes if ``place.workers`` and the runs are many."""
    alone = min(place.workers or 1, len(specs)) == 1
    return (in_process if alone else side_by_side)(specs, results, place, listeners, again=again, fail_fast=fail_fast)


def in_process(
    specs: Sequence[Spec], results: Path, place: Place, listeners: Listeners, *, again: bool, fail_fast: bool
) -> Outcome:
    """Execute runs one after the other. With ``again`` a run that has a record is executed again.

    Raises:
        WriteError: the results folder cannot be written, so further runs would be lost.
    """
    outcome = Outcome()
    for spec in specs:
        ending = attempt.attempt(spec, results, place.device, partial(listeners.on_epoch, spec), again=again)
        outcome.add(spec, ending, listeners.on_end)
        if fail_fast and outcome.failed:
            break
    return outcome


def side_by_side(
    specs: Sequence[Spec], results: Path, place: Place, listeners: Listeners, *, again: bool, fail_fast: bool
) -> Outcome:
    """Execute runs as ``in_process`` does, in worker processes, each with a device and torch's number of threads.

    If a worker dies, a new one takes its place, and its run is started once more after all the others.
    """
    found, threads = devices(place.device), torch.get_num_threads()
    workers = min(place.workers or 1, len(specs))
    pool = _Pool(
        specs, results, [partial(_serve, results, found[n % len(found)], threads, again) for n in range(workers)]
    )
    try:
        return pool.work(fail_fast, listeners)
    except KeyboardInterrupt as error:
        pool.end()
        pool.release(str(error) or "Ctrl-C")
        raise
    finally:
        pool.end()


class Worker:
    """A process that executes one run at a time; ``spec`` is the last run that it was given, ``started`` when."""

    spec: Spec
    started: float

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        self.serve = serve
        self.connection, theirs = multiprocessing.Pipe()
        self.process = processes.start(serve, theirs)
        theirs.close()  # then the connection ends when the process dies

    def give(self, spec: Spec) -> None:
        """Send a run to the process."""
        self.spec, self.started = spec, time.monotonic()
        with suppress(BrokenPipeError):  # the process has just died; ``_receive`` will notice
            self.connection.send(spec)


class _Pool:
    """The workers, the runs that wait for one, and the outcome of the runs that have ended."""

    def __init__(self, specs: Sequence[Spec], results: Path, serve: Sequence[Callable[[Connection], None]]) -> None:
        self.results, self.waiting, self.outcome = results, list(specs), Outcome()
        self.seconds: dict[schedule.Kind, float] = {}
        self.deaths: Counter[Spec] = Counter()
        self.busy: dict[Connection, Worker] = {}
        self.idle = [Worker(each) for each in serve]

    def work(self, fail_fast: bool, listeners: Listeners) -> Outcome:
        while self.waiting or self.busy:
            while self.waiting and self.idle:
                worker = self.idle.pop()
                if not worker.process.is_alive():  # it died while it had no run
                    worker = Worker(worker.serve)
                worker.give(schedule.take(self.waiting, self.seconds, self.deaths))
                self.busy[worker.connection] = worker
            for connection in wait(list(self.busy)):
                worker = self.busy[connection]  # type: ignore[index]
                message = self._receive(worker)
                if isinstance(message, dict):
                    listeners.on_epoch(worker.spec, message)
                else:
                    self._end(worker, message, fail_fast, listeners.on_end)
        return self.outcome

    def end(self) -> None:
        """End all workers. Those that execute a run give up its claim."""
        processes.end([worker.process for worker in self.busy.values()])
        for worker in self.idle:
            worker.process.kill()
            worker.process.join()

    def release(self, why: str) -> None:
        """Release the claims of workers that had to be killed, and note why their runs have no record."""
        watch = Watch(self.results)
        for worker in self.busy.values():
            # another driver may have the run, or this one its record
            if watch.freed(worker.spec) and not store.record_path(self.results, worker.spec).exists():
                store.write_trace(self.results, worker.spec, "interrupted", why)

    def _receive(self, worker: Worker) -> Epoch | Ending:
        """Return an epoch, or how the run ended.

        Raises:
            UserError: the worker could not write into the results folder, or read what is there.
        """
        try:
            message: Epoch | Ending | UserError = worker.connection.recv()
        except (EOFError, OSError):  # OSError if the process died before it read what was sent
            worker.process.join()
            reason = f"its process died with exit code {worker.process.exitcode}; -9 often means that memory ran out"
            store.write_trace(self.results, worker.spec, "failed", reason)
            return reason
        if isinstance(message, UserError):
            raise message
        return message

    def _end(self, worker: Worker, ending: Ending, fail_fast: bool, on_end: OnEnd) -> None:
        """Note how a run ended. A run whose process died waits again, behind all others: there may be more memory."""
        del self.busy[worker.connection]
        died = not worker.process.is_alive()
        self.idle.append(Worker(worker.serve) if died else worker)
        self.deaths[worker.spec] += died
        if died and self.deaths[worker.spec] < DEATHS and not fail_fast and not isinstance(ending, AlreadyClaimed):
            self.waiting.append(worker.spec)
            return
        self.seconds[schedule.kind(worker.spec)] = time.monotonic() - worker.started
        self.outcome.add(worker.spec, ending, on_end)
        if fail_fast and self.outcome.failed:
            self.waiting = []


def _serve(results: Path, device: torch.device, threads: int, again: bool, connection: Connection) -> None:
    """Execute the runs that arrive; send every epoch, and how each run ended."""
    torch.set_num_threads(threads)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    while True:
        spec: Spec = connection.recv()
        try:
            connection.send(attempt.attempt(spec, results, device, connection.send, again=again))
        except UserError as error:
            connection.send(error)
