"""Who is at which run: claims on a results folder that drivers, processes and machines share.

A claim is a file beside the run's trace, which its holder touches for as long as it lives (filelock's lease). It is
free again when its holder's process is gone from this machine, or when an observer on any machine has seen no sign of
life for LEASE_SECONDS. The observer counts them on its own monotonic clock: wall clocks differ, and may jump.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import SoftFileLease, Timeout

from benchmarks.files.writing import writing
from benchmarks.records.store import UNFINISHED

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec

LEASE_SECONDS = 60.0  # one for all who share a folder: a claim says which it was made under


class AlreadyClaimed(Exception):
    """The run is another's: in hand, or finished."""


def path(results: Path, spec: Spec) -> Path:
    """The file that a claim is."""
    return results / UNFINISHED / f"{spec.stem}.claim"


def take(results: Path, spec: Spec) -> SoftFileLease:
    """Claim a run for this process, until ``release()``.

    Raises:
        AlreadyClaimed: another has it.
        WriteError: the results folder takes no files.
    """
    file = path(results, spec)
    lease = _lease(file)
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        taken = _taken(lease)
    if not taken:
        raise AlreadyClaimed
    return lease


def check(lease: SoftFileLease) -> None:
    """See that a claim is still this process's, which may have been suspended for longer than the lease.

    Raises:
        AlreadyClaimed: another has taken it over.
    """
    if lease.compromise is not None:
        raise AlreadyClaimed


def here(results: Path, spec: Spec, token: str | None) -> bool:
    """Whether this very claim is seen from this machine: whether ``results`` is the folder that it was made in."""
    file = path(results, spec)
    return token is not None and file.is_file() and f"token={token}\n" in file.read_text(encoding="utf-8")


class Watch:
    """Sees when the runs of others become free; remembers how long it has seen no sign of life of each."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self._leases: dict[Spec, SoftFileLease] = {}
        self._empty: dict[Spec, float] = {}

    def freed(self, spec: Spec) -> bool:
        """Whether nobody has the run in hand, or its holder is dead."""
        lease = self._leases.setdefault(spec, _lease(path(self._results, spec)))
        self._sweep(spec)
        if not _taken(lease):
            return False
        lease.release()
        return True

    def _sweep(self, spec: Spec) -> None:
        """Take away a claim without a word in it: its holder's machine went down before the disk had it."""
        file = path(self._results, spec)
        try:
            empty = file.stat().st_size == 0
        except FileNotFoundError:
            empty = False
        if not empty:
            self._empty.pop(spec, None)
        elif time.monotonic() - self._empty.setdefault(spec, time.monotonic()) >= LEASE_SECONDS:
            file.unlink(missing_ok=True)


def _lease(file: Path) -> SoftFileLease:
    return SoftFileLease(file, lease_duration=LEASE_SECONDS)


def _taken(lease: SoftFileLease) -> bool:
    try:
        lease.acquire(blocking=False)
    except Timeout:
        return False
    return True
