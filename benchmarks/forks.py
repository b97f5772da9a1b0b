"""Processes that need not import torch: they fork from one that has, begun early and doing nothing else (Linux)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

PRELOADED = ["benchmarks.executors.local", "benchmarks.backbones.images", "benchmarks.backbones.points"]
FORKS = sys.platform == "linux"  # the libraries of other systems do not bear it


def begin() -> None:
    """Let the imports go on beside those of this process, where there is a core for them."""
    if FORKS and len(os.sched_getaffinity(0)) > 1:
        forkserver.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()


def process(work: Callable[..., None], *args: Any) -> BaseProcess:
    """A daemon that is to do some work, in the environment that this process has now; not started yet."""
    forkserver.set_forkserver_preload(PRELOADED)  # for the case that none has begun
    kind = ForkServerProcess if FORKS else SpawnProcess
    return kind(target=_work, args=(dict(os.environ), work, args), daemon=True)


def _work(environment: dict[str, str], work: Callable[..., None], args: tuple[Any, ...]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    work(*args)
