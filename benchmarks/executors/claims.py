"""Claims on runs, so that drivers, processes and machines can share a results folder.

Each process claims a run before it starts it. A process that finds a run claimed takes the next one and uses the
result once it is there.

A claim is a file beside the run's trace. Its holder touches the file regularly (the heartbeat of filelock's lease). A
claim expires when its holder's process is gone from this machine, or when an observer on any machine has seen no
heartbeat for LEASE_SECONDS. The observer measures that time on its own monotonic clock, because wall clocks of
machines differ and may jump.
"""

import time
from pathlib import Path

from filelock import SoftFileLease, Timeout

from benchmarks.files.sharing import make_folder, share
from benchmarks.files.writing import writing
from benchmarks.records.spec import Spec
from benchmarks.records.store import UNFINISHED

LEASE_SECONDS = 60.0  # the same for every process that shares a folder; each claim file holds the value


class AlreadyClaimed(Exception):
    """Another process has claimed the run, or has finished it."""


def path(results: Path, spec: Spec) -> Path:
    """Return the file of a run's claim."""
    return results / UNFINISHED / f"{spec.stem}.claim"


def take(results: Path, spec: Spec) -> SoftFileLease:
    """Claim a run for this process, until ``release()``.

    Raises:
        AlreadyClaimed: another process has the claim.
        WriteError: the results folder cannot be written.
    """
    file = path(results, spec)
    lease = _lease(file)
    with writing(file):
        make_folder(file.parent)
        acquired = _acquire(lease)
        if acquired:
            share(file)
    if not acquired:
        raise AlreadyClaimed
    return lease


def lost(lease: SoftFileLease) -> bool:
    """Whether another process has taken a claim over, because this one was suspended for longer than the lease."""
    return lease.compromise is not None


def visible(results: Path, spec: Spec, token: str | None) -> bool:
    """Whether ``results`` holds the claim with this token, so that this machine shares the folder of its holder."""
    file = path(results, spec)
    return token is not None and file.is_file() and f"token={token}\n" in file.read_text(encoding="utf-8")


class Watch:
    """Observes the claims of other processes, and remembers when it last saw a heartbeat of each."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._leases: dict[Spec, SoftFileLease] = {}
        self._empty_since: dict[Spec, float] = {}

    def freed(self, spec: Spec) -> bool:
        """Whether a run is free: nobody holds its claim, or the claim has expired."""
        lease = self._leases.setdefault(spec, _lease(path(self._results, spec)))
        self._remove_empty(spec)
        if not _acquire(lease):
            return False
        lease.release()
        return True

    def _remove_empty(self, spec: Spec) -> None:
        """Remove a claim file that stays empty for a lease. A crash of its holder's machine can leave such a file."""
        file = path(self._results, spec)
        try:
            empty = file.stat().st_size == 0
        except FileNotFoundError:
            empty = False
        if not empty:
            self._empty_since.pop(spec, None)
        elif time.monotonic() - self._empty_since.setdefault(spec, time.monotonic()) >= LEASE_SECONDS:
            file.unlink(missing_ok=True)


def _lease(file: Path) -> SoftFileLease:
    return SoftFileLease(file, lease_duration=LEASE_SECONDS)


def _acquire(lease: SoftFileLease) -> bool:
    try:
        lease.acquire(blocking=False)
    except Timeout:
        return False
    return True
