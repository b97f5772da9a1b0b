"""A second process, for what is made of very many runs: begun when first asked for, ended with the first."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

MANY = 20_000  # runs; of fewer, to start it takes longer than it saves


@cache
def process() -> ProcessPoolExecutor:
    """Where to submit what is to be done beside this process."""
    return ProcessPoolExecutor(1, get_context("spawn"))
