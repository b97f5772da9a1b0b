"""Processes that runs are sent to. Those begun ahead import torch while the command that began them does so itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

LIMIT = 4  # processes by default on a CPU: each has its own copy of torch and of the backbone
_spares: list[Spare] = []


class Spare:
    """A process that imports what runs need, and then calls what ``connection`` brings with its end of it.

    Ctrl-C is not for it, but for the command: the signal is blocked in it from its first moment.
    """

    def __init__(self) -> None:
        from multiprocessing import resource_tracker

        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=True)
        resource_tracker.ensure_running()  # else begun below, which would let the signal through
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()  # so that the process's death ends the connection

    def end(self) -> None:
        self.process.kill()
        self.process.join()


@contextmanager
def spares(workers: int) -> Iterator[None]:
    """Begin what so many need, unless torch is imported already; those that nobody has taken by the end are ended."""
    try:
        if "torch" not in sys.modules:
            _spares.extend(Spare() for _ in range(_processes(workers)))
        yield
    finally:
        keep(0)


def likely_workers(asked: int | None, device: str) -> int:
    """How many to begin ahead: what ``--workers`` and ``--device`` are likely to come to, and no more than cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if asked is not None:
        return min(asked, cores)
    threads = os.environ.get("OMP_NUM_THREADS", "")
    on_gpu = device.startswith("cuda") or (device == "auto" and os.path.exists("/dev/nvidiactl"))
    return 1 if on_gpu else min(int(threads) if threads.isdigit() else cores, LIMIT)


def keep(workers: int) -> None:
    """End the spares that so many do not need."""
    while len(_spares) > _processes(workers):
        _spares.pop().end()


def take() -> Spare:
    """One that was begun ahead, or else a new one."""
    return _spares.pop() if _spares else Spare()


def _processes(workers: int) -> int:
    """One worker is the command itself."""
    return workers if workers > 1 else 0


def follow_parent() -> None:
    """Die with the parent, however it died, so that a repeated command finds no rival."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(connection: Connection) -> None:
    threading.Thread(target=follow_parent, daemon=True).start()
    import benchmarks.executors  # noqa: F401  # and with it torch and timm, before there is anything to do

    work = connection.recv()
    work(connection)
