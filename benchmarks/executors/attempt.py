"""An attempt at one run: it is claimed, run, and then its record is stored or its failure traced."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from benchmarks.executors import claims
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.records.spec import Result, Spec
from benchmarks.training.run import run
from benchmarks.training.train import Epoch
from methods.errors import UserError

if TYPE_CHECKING:
    from filelock import SoftFileLease

OnEpoch = Callable[[Spec, Epoch], None]
OnEnd = Callable[[Spec], None]
UNDERWAY = "still running, or killed"
TRACE_SECONDS = 2.0
SHOWN = ("stage", "epoch", "epochs")  # of an epoch, to those who look at the trace


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run has no record: one line, and the traceback of the exception if there was one."""

    reason: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an exception is; a person's mistake is told by its message alone."""
        reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        return cls(reason=reason, traceback="".join(traceback.format_exception(error)))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of runs: why some have failed, and which are another driver's; all the others have their record."""

    failed: dict[Spec, str] = field(default_factory=dict)
    others: list[Spec] = field(default_factory=list)


def attempt(
    spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None], *, again: bool = False
) -> str | None:
    """Run and store the record, or leave a trace and return the reason why there is none.

    Raises:
        AlreadyClaimed: another driver has the run in hand, or has finished it (which ``again`` does not mind).
        WriteError: the results folder takes no files.
    """
    claim = begin(spec, results, again=again)
    try:
        return end(run(spec, results, device, _Progress(spec, results, claim, on_epoch)), spec, results, claim)
    except KeyboardInterrupt:
        store.write_trace(results, spec, "interrupted", "Ctrl-C")
        raise
    except (WriteError, claims.AlreadyClaimed):
        raise
    except Exception as error:  # one run's failure must not cost the others; its trace keeps the traceback
        return end(Failure.of(error), spec, results, claim)
    finally:
        claim.release()


def begin(spec: Spec, results: Path, *, again: bool) -> SoftFileLease:
    """Claim a run and leave a trace that it has begun.

    Raises:
        AlreadyClaimed, WriteError: as in ``attempt``.
    """
    claim = claims.take(results, spec)
    try:
        if not again and store.finished(results, spec):  # since this driver looked
            raise claims.AlreadyClaimed
        store.write_trace(results, spec, "started", UNDERWAY)
    except BaseException:
        claim.release()
        raise
    return claim


def end(outcome: Result | Failure, spec: Spec, results: Path, claim: SoftFileLease) -> str | None:
    """Store a run's record, or leave a trace of its failure and return the reason.

    Raises:
        AlreadyClaimed: the claim was lost, and the run is another's.
    """
    claims.check(claim)
    if isinstance(outcome, Failure):
        store.write_trace(results, spec, "failed", outcome.reason, traceback=outcome.traceback)
        return outcome.reason
    store.write(results, outcome)
    return None


class _Progress:
    """Hears of a run's epochs: passes them on, and now and then writes them down for other drivers to show."""

    def __init__(self, spec: Spec, results: Path, claim: SoftFileLease, on_epoch: Callable[[Epoch], None]) -> None:
        self._spec, self._results, self._claim, self._on_epoch = spec, results, claim, on_epoch
        self._written = time.monotonic()

    def __call__(self, epoch: Epoch) -> None:
        claims.check(self._claim)
        self._on_epoch(epoch)
        if time.monotonic() - self._written >= TRACE_SECONDS:
            self._written = time.monotonic()
            store.write_trace(
                self._results, self._spec, "started", UNDERWAY, progress={name: epoch[name] for name in SHOWN}
            )
