"""One attempt at a run: claim it, run it, then store its record or the reason why it failed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import torch
from filelock import SoftFileLease

from benchmarks.executors import claims
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.records.spec import Epoch, Result, Spec
from methods.errors import UserError

OnEpoch = Callable[[Spec, Epoch], None]
OnEnd = Callable[[Spec], None]
Ending: TypeAlias = claims.AlreadyClaimed | str | None  # another driver has the run, why it failed, or None: a record
UNDERWAY = "still running, or killed"
TRACE_SECONDS = 2.0  # at least, between two updates of a trace


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run has no record: one line, and the traceback of the exception if there was one."""

    reason: str
    traceback: str = ""

    @classmethod
    def from_error(cls, error: BaseException) -> Failure:
        """Describe an exception. A ``UserError`` is described by its message, any other by its type as well."""
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return cls(reason=reason, traceback="".join(traceback.format_exception(error)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an executor did: ``failed`` maps each failed run to its reason, ``others`` are claimed or done elsewhere.

    Every other run has a record.
    """

    failed: dict[Spec, str] = field(default_factory=dict)
    others: list[Spec] = field(default_factory=list)

    def add(self, spec: Spec, ending: Ending, on_end: OnEnd) -> None:
        """Note how a run ended. Call ``on_end`` unless another driver has the run."""
        if isinstance(ending, claims.AlreadyClaimed):
            self.others.append(spec)
            return
        on_end(spec)
        if ending is not None:
            self.failed[spec] = ending


def attempt(
    spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None], *, again: bool = False
) -> Ending:
    """Run a spec and store its record. If the run fails, write a trace and return the reason.

    Returns ``AlreadyClaimed`` if another driver has claimed the run, or has finished it and ``again`` is false.

    Raises:
        WriteError: the results folder cannot be written.
    """
    from benchmarks.training.run import run  # heavy, and a command that has workers does not need it

    try:
        claim = begin(spec, results, again=again)
    except claims.AlreadyClaimed as error:
        return error
    try:
        return end(run(spec, results, device, _Progress(spec, results, claim, on_epoch)), spec, results, claim)
    except KeyboardInterrupt as error:
        store.write_trace(results, spec, "interrupted", str(error) or "Ctrl-C")
        raise
    except WriteError:
        raise
    except claims.AlreadyClaimed as error:
        return error
    except Exception as error:  # one failed run must not stop the others; the trace keeps its traceback
        return end(Failure.from_error(error), spec, results, claim)
    finally:
        claim.release()


def begin(spec: Spec, results: Path, *, again: bool) -> SoftFileLease:
    """Claim a run and write a trace with the status "started".

    Raises:
        AlreadyClaimed, WriteError: as in ``attempt``.
    """
    claim = claims.take(results, spec)
    try:
        if not again and store.finished(results, spec):  # another driver may have finished it before the claim
            raise claims.AlreadyClaimed
        store.write_trace(results, spec, "started", UNDERWAY)
    except BaseException:
        claim.release()
        raise
    return claim


def end(outcome: Result | Failure, spec: Spec, results: Path, claim: SoftFileLease) -> Ending:
    """Store a run's record. If the run failed, write a trace and return the reason.

    Returns ``AlreadyClaimed`` if this process lost its claim, and another one has the run.
    """
    if claims.lost(claim):
        return claims.AlreadyClaimed()
    if isinstance(outcome, Failure):
        store.write_trace(results, spec, "failed", outcome.reason, traceback=outcome.traceback)
        return outcome.reason
    store.write(results, outcome)
    return None


class _Progress:
    """Passes on a run's epochs, and writes one into the trace every few seconds so that other drivers can show it."""

    def __init__(self, spec: Spec, results: Path, claim: SoftFileLease, on_epoch: Callable[[Epoch], None]) -> None:
        self._spec, self._results, self._claim, self._on_epoch = spec, results, claim, on_epoch
        self._written = time.monotonic()

    def __call__(self, epoch: Epoch) -> None:
        if claims.lost(self._claim):
            raise claims.AlreadyClaimed
        self._on_epoch(epoch)
        if time.monotonic() - self._written >= TRACE_SECONDS:
            self._written = time.monotonic()
            shown = {name: epoch[name] for name in ("stage", "epoch", "epochs")}
            store.write_trace(self._results, self._spec, "started", UNDERWAY, progress=shown)
