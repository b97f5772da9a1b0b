"""Runs side by side on one machine: processes that are sent one spec at a time and share nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext
from pathlib import Path

import torch

from benchmarks import executors, store
from benchmarks.spec import Spec
from benchmarks.train import Epoch

LIMIT = 4  # processes by default: each has its own copy of torch and of the backbone


def default(device: torch.device, runs: int) -> int:
    """One on a GPU; on a CPU a process a core, for small models gain little from a second thread."""
    return 1 if device.type == "cuda" else max(1, min(torch.get_num_threads(), runs, LIMIT))


class Worker:
    """A process and the spec it has in hand."""

    def __init__(self, context: SpawnContext, results: Path, device: torch.device, threads: int) -> None:
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, results, device, threads), daemon=True)
        self.process.start()
        theirs.close()  # so that the process's death ends the connection
        self.spec: Spec | None = None

    def give(self, spec: Spec) -> None:
        self.spec = spec
        self.connection.send(spec)


def side_by_side(
    specs: Sequence[Spec],
    results: Path,
    device: torch.device,
    *,
    workers: int,
    fail_fast: bool,
    on_epoch: Callable[[Spec, Epoch], None],
    on_end: Callable[[Spec], None],
) -> dict[Spec, str]:
    """As ``executors.in_process``, in several processes with as many threads each as torch has here.

    A run whose process died has failed; another process takes the dead one's place.
    """
    context, threads = multiprocessing.get_context("spawn"), torch.get_num_threads()
    waiting, failed = list(reversed(specs)), dict[Spec, str]()
    busy: dict[Connection, Worker] = {}
    try:
        idle = [Worker(context, results, device, threads) for _ in range(workers)]
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                worker.give(waiting.pop())
                busy[worker.connection] = worker
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                spec, message = worker.spec, _receive(worker, results)
                assert spec is not None
                if isinstance(message, dict):
                    on_epoch(spec, message)
                    continue
                del busy[worker.connection]
                on_end(spec)
                alive = worker.process.is_alive()
                idle.append(worker if alive else Worker(context, results, device, threads))
                if message is not None:
                    failed[spec] = message
                    waiting = [] if fail_fast else waiting
    except KeyboardInterrupt:
        for worker in busy.values():
            worker.process.kill()
            worker.process.join()
            if worker.spec is not None:
                store.write_trace(results, worker.spec, "interrupted", "Ctrl-C")
        raise
    finally:
        for child in multiprocessing.active_children():
            child.kill()
    return failed


def _receive(worker: Worker, results: Path) -> Epoch | str | None:
    """An epoch, or how the run ended: None if well, else the reason.

    Raises:
        OSError: the worker could not write into the results folder.
    """
    try:
        message: Epoch | str | OSError | None = worker.connection.recv()
    except EOFError:
        worker.process.join()
        assert worker.spec is not None
        reason = f"its process died with exit code {worker.process.exitcode}; -9 may be for want of memory"
        store.write_trace(results, worker.spec, "failed", reason)
        return reason
    if isinstance(message, OSError):
        raise message
    return message


def _serve(connection: Connection, results: Path, device: torch.device, threads: int) -> None:
    """A worker's life: run what comes, tell every epoch and the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    threading.Thread(target=follow_parent, daemon=True).start()
    torch.set_num_threads(threads)
    while True:
        spec: Spec = connection.recv()
        try:
            connection.send(executors.attempt(spec, results, device, partial(_send, connection)))
        except OSError as error:
            connection.send(error)


def _send(connection: Connection, epoch: Epoch) -> None:
    connection.send(epoch)


def follow_parent() -> None:
    """Die with the parent, however it died, so that a repeated command finds no rival."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
