"""Which of submitit's Slurm jobs are over: by the cluster's accounting, or where it keeps none by its queue."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Ended: TypeAlias = Callable[[Iterable[Any]], set[str]]  # the identifiers of those jobs that are over

POLL_SECONDS = 5.0  # the queue is that of the whole cluster


def done(jobs: Iterable[Any]) -> set[str]:
    """The jobs that are over, by submitit, which asks Slurm's accounting."""
    return {job.job_id for job in jobs if job.done()}


class Queue:
    """Which jobs are over on a cluster without accounting: those with a result, or missing from the queue twice."""

    def __init__(self) -> None:
        self._missing: set[str] = set()
        self._asked = 0.0

    def ended(self, jobs: Iterable[Any]) -> set[str]:
        """The identifiers of those jobs that are over; the queue is asked now and then."""
        open_jobs = {job.job_id for job in jobs if not job.paths.result_pickle.exists()}
        lost: set[str] = set()
        if time.monotonic() >= self._asked + POLL_SECONDS:
            command = ["squeue", "--me", "--noheader", "--array", "--format=%i"]
            queue = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            missing = open_jobs - set(queue.stdout.split()) if queue.returncode == 0 else set()
            lost, self._missing = missing & self._missing, missing
            self._asked = time.monotonic()
        return {job.job_id for job in jobs} - open_jobs | lost


def has_accounts() -> bool:
    """Whether this cluster keeps accounts, which submitit can then ask."""
    command = ["sacct", "--noheader", "--starttime=now"]
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False
