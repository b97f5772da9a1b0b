"""Child processes of a command: they ignore Ctrl-C, and they end when the command ends, even if it was killed."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from typing import Any

from benchmarks.cli.interrupts import interrupt

GRACE_SECONDS = 5.0  # for a child that was asked to end


def start(target: Callable[..., None], *args: Any) -> SpawnProcess:
    """Start a process that calls ``target(*args)``.

    Ctrl-C reaches every process of a terminal. The child ignores it, and the command decides how the child ends. A new
    process inherits which signals its parent ignores, so this process ignores Ctrl-C while the child starts.
    """
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(target, *args), daemon=True)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    return process


def end(children: Sequence[SpawnProcess]) -> None:
    """Interrupt children, so that their runs and trials stop now. Kill those that go on for GRACE_SECONDS."""
    for child in children:
        child.terminate()
    deadline = time.monotonic() + GRACE_SECONDS
    for child in children:
        child.join(max(0.0, deadline - time.monotonic()))
        child.kill()
        child.join()


def _work(target: Callable[..., None], *args: Any) -> None:
    signal.signal(signal.SIGTERM, interrupt)  # ``end`` interrupts the work like Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        target(*args)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    """End this process when its parent ends: the same command, given again, must find no claimed run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
