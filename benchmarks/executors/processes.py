"""Processes that a command begins: Ctrl-C is not for them, and they end when the command ends, however it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess


def start(target: Callable[..., None], *args: Any, interruptible: bool = False) -> SpawnProcess:
    """Begin a process that calls ``target(*args)``.

    It ignores Ctrl-C, which is for the command alone, unless it is ``interruptible``. A new process inherits what its
    parent ignores, so the signal is ignored here while the process starts.
    """
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(target, *args), daemon=True)
    if interruptible:
        process.start()
        return process
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, before)
    return process


def _work(target: Callable[..., None], *args: Any) -> None:
    threading.Thread(target=_follow_parent, daemon=True).start()
    target(*args)


def _follow_parent() -> None:
    """End this process when its parent ends, or a repeated command would find a rival."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
