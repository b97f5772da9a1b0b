"""Which Slurm jobs of submitit have ended: as the cluster's accounting says, or its queue if it keeps no accounts."""

import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

Ended: TypeAlias = Callable[[Iterable[Any]], set[str]]  # returns the identifiers of the jobs that have ended

POLL_SECONDS = 5.0  # between two queries, which load the queue of the whole cluster


def done(jobs: Iterable[Any]) -> set[str]:
    """Return the jobs that have ended. submitit asks Slurm's accounting."""
    return {job.job_id for job in jobs if job.done()}


class Queue:
    """Finds ended jobs on a cluster without accounting: a job has ended if it has a result or is not in two queues."""

    def __init__(self) -> None:
        self._missing: set[str] = set()
        self._asked = 0.0

    def ended(self, jobs: Iterable[Any]) -> set[str]:
        """Return the identifiers of the jobs that have ended. Asks the queue at most every POLL_SECONDS."""
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
    """Whether this cluster keeps accounts that submitit can ask."""
    command = ["sacct", "--noheader", "--starttime=now"]
    try:
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False
