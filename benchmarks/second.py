"""A second process, for what is made of very many runs: begun when first asked for, ended with the first."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

MANY = 20_000  # runs; of fewer, to start it takes longer than it saves


@cache
def process() -> ProcessPoolExecutor:
    """Where to submit what is to be done beside this process."""
    return ProcessPoolExecutor(1, get_context("spawn"), _settle)


def _settle() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word: the first process tells of it
    gc.disable()  # it ends too soon to gain from it


def begin(runs: int, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Callable[[], R]:
    """Work on so many runs: of many, begun beside this process. What is returned waits for its result, or does it."""
    return process().submit(work, *args, **kwargs).result if runs >= MANY else partial(work, *args, **kwargs)


def end() -> None:
    """Let it go, if it was begun, without waiting for that."""
    if process.cache_info().currsize:
        process().shutdown(wait=False)
        process.cache_clear()
