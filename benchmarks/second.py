"""A second process, for what is made of very many runs: begun when first asked for, ended with the first."""

from __future__ import annotations

import signal
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

MANY = 20_000  # runs; of fewer, to start it takes longer than it saves


@cache
def process() -> ProcessPoolExecutor:
    """Where to submit what is to be done beside this process."""
    # Ctrl-C ends it without a word: the first process tells of it
    return ProcessPoolExecutor(1, get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_DFL))
