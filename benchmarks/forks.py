"""Processes that need not import torch: they fork from one that has, begun early and doing nothing else (Linux)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

PRELOADED = ["benchmarks.executors.local", "benchmarks.backbones.images", "benchmarks.backbones.points"]
FORKS = sys.platform == "linux"  # the libraries of other systems do not bear it


def begin() -> None:
    """Let the imports go on beside those of this process, where there is a core for them."""
    if FORKS and len(os.sched_getaffinity(0)) > 1:
        _ensure_running()


def process(work: Callable[..., None], *args: Any) -> BaseProcess:
    """A daemon that is to do some work, in the environment that this process has now; not started yet."""
    if FORKS:
        _ensure_running()
    kind = ForkServerProcess if FORKS else SpawnProcess
    return kind(target=_work, args=(dict(os.environ), work, args), daemon=True)


def _ensure_running() -> None:
    forkserver.set_forkserver_preload(PRELOADED)
    resource_tracker.ensure_running()  # else begun below, which lets SIGINT through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which it inherits: Ctrl-C is not for it
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(environment: dict[str, str], work: Callable[..., None], args: tuple[Any, ...]) -> None:
    if FORKS:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.environ.clear()
    os.environ.update(environment)
    work(*args)
