"""Where the trials of studies run: this process, or several that share nothing but the storage."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.executors import processes
from benchmarks.tuning import studies
from methods.errors import UserError

if TYPE_CHECKING:
    from benchmarks.tuning.databases import StudyDatabase
    from benchmarks.tuning.studies import Search

WAIT_SECONDS = 0.5
OnTrial = Callable[["Search"], None]


def in_process(
    searches: Sequence[Search], database: StudyDatabase, device: torch.device, on_trial: OnTrial
) -> dict[Search, str]:
    """Bring all studies to their trials; returns why some could not be.

    Trials that other processes have in hand are waited for: they finish, or are dead and run again here.
    """
    broken: dict[Search, str] = {}
    pending = list(searches)
    while pending:
        for search in pending:
            try:
                studies.work(search, database, device, on_trial=partial(on_trial, search))
            except studies.Broken as error:
                broken[search] = str(error)
        pending = [s for s in pending if s not in broken and studies.unfinished(s, database)]
        if pending:
            time.sleep(WAIT_SECONDS)
    return broken


def side_by_side(
    searches: Sequence[Search], database: StudyDatabase, device: torch.device, workers: int, on_trial: OnTrial
) -> dict[Search, str]:
    """As ``in_process``, in several processes with as many threads each as torch has here."""
    told: Any = multiprocessing.get_context("spawn").Queue()
    serve = partial(
        _serve, told, replace(database), device, torch.get_num_threads()
    )  # each opens the database for itself
    # each begins with another study: trials that go side by side in one study know less of each other
    turns = [len(searches) * worker // workers for worker in range(workers)]
    children, broken = [], dict[Search, str]()
    try:
        for n in turns:
            children.append(processes.start(serve, [*searches[n:], *searches[:n]], interruptible=True))
        while any(child.is_alive() for child in children) or not told.empty():
            try:
                search, reason = told.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue
            if reason is not None:
                broken[search] = reason
            on_trial(search)
    finally:
        _end(children)
    dead = [child.exitcode for child in children if child.exitcode]
    if dead:
        broken[searches[0]] = (
            f"a process died with exit code {dead[0]}; -9 may be for want of memory; repeat the command"
        )
    return broken


def _end(children: Sequence[Any]) -> None:
    """Interrupt those at work, so that their trials fail at once and not by and by."""
    for child in children:
        if child.is_alive():
            os.kill(child.pid, signal.SIGINT)
    for child in children:
        child.join(timeout=10)
        child.kill()
        child.join()


def _serve(told: Any, database: StudyDatabase, device: torch.device, threads: int, searches: Sequence[Search]) -> None:
    torch.set_num_threads(threads)
    try:
        with database.watched():
            broken = in_process(searches, database, device, lambda search: told.put((search, None)))
    except UserError as error:
        broken = {searches[0]: str(error)}
    except KeyboardInterrupt:
        return
    for search, reason in broken.items():
        told.put((search, reason))
