"""Executes the trials of studies in this process, or in several processes that share only the storage."""

import multiprocessing
import queue
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.context import SpawnProcess
from typing import Any

import torch

from benchmarks.executors import processes
from benchmarks.tuning import studies
from benchmarks.tuning.databases import StudyDatabase
from benchmarks.tuning.space import Search
from methods.errors import UserError

WAIT_SECONDS = 0.5
OnTrial = Callable[[Search], None]


def in_process(
    searches: Sequence[Search], database: StudyDatabase, device: torch.device, on_trial: OnTrial
) -> dict[Search, str]:
    """Run trials until every study has as many as were asked for. Return the reason per study that failed.

    If other processes run the last trials of a study, wait for them. A trial whose process died is run again here.
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
    """Do what ``in_process`` does in several processes, each with torch's number of threads."""
    messages: Any = multiprocessing.get_context("spawn").Queue()
    unopened = replace(database)  # each process opens the database itself
    serve = partial(_serve, messages, unopened, device, torch.get_num_threads())
    # each process starts with another study: a trial learns nothing from trials that run at the same time
    starts = [len(searches) * worker // workers for worker in range(workers)]
    children: list[SpawnProcess] = []
    broken: dict[Search, str] = {}
    try:
        children.extend(processes.start(serve, [*searches[n:], *searches[:n]]) for n in starts)
        while any(child.is_alive() for child in children) or not messages.empty():
            try:
                search, reason = messages.get(timeout=WAIT_SECONDS)
            except queue.Empty:
                continue
            if reason is not None:
                broken[search] = reason
            on_trial(search)
    finally:
        processes.end(children)
    if dead := [child.exitcode for child in children if child.exitcode]:
        reason = f"a process died with exit code {dead[0]}; -9 often means that memory ran out; repeat the command"
        broken[searches[0]] = reason
    return broken


def _serve(
    messages: Any, database: StudyDatabase, device: torch.device, threads: int, searches: Sequence[Search]
) -> None:
    torch.set_num_threads(threads)
    try:
        with database.watched():
            broken = in_process(searches, database, device, lambda search: messages.put((search, None)))
    except UserError as error:
        broken = {searches[0]: str(error)}
    for search, reason in broken.items():
        messages.put((search, reason))
