"""Child processes of a command: they ignore Ctrl-C, and they end when the command ends, even if it was killed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from typing import Any


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


def _work(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    target(*args)


def _end_with_parent() -> None:
    """End this process when its parent ends: the same command, given again, must find no claimed run."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
