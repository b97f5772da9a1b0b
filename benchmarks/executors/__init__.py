"""What a run is, and an attempt at one: claimed, run, and stored or traced; the modules beside say where it happens."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from benchmarks import suites
from benchmarks.executors import claims
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.records.spec import Result, Spec
from benchmarks.training import measure, model
from benchmarks.training.feature_cache import Once
from benchmarks.training.train import Epoch, Load, Trainer
from methods.errors import UserError

if TYPE_CHECKING:
    from filelock import SoftFileLease

OnEpoch = Callable[[Spec, Epoch], None]
OnEnd = Callable[[Spec], None]
UNDERWAY = "still running, or killed"
TRACE_SECONDS = 2.0
SHOWN = ("stage", "epoch", "epochs")  # of an epoch, to those who look at the trace
PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


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


def run(spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None]) -> Result:
    """Train and test one model; writes its task file and returns its record."""
    measure.reset_peak_memory(device)
    load = partial(suites.get(spec.suite).load, spec.task, size=spec.backbone.image_size)
    trainer = prepare(spec, load, device, on_epoch, store.scratch_path(results, spec))
    tuned = trainer.model
    start = time.perf_counter()
    tuned.method.fit(trainer)
    train_seconds, peak_memory_bytes = time.perf_counter() - start, measure.peak_memory_bytes(device)
    if trainer.once is not None:  # what came from the cache is charged as it was when it was computed
        train_seconds += trainer.once.spared_seconds
        peak_memory_bytes = max(peak_memory_bytes, trainer.once.peak_memory_bytes)
    cost: dict[str, Any] = {"train_seconds": train_seconds, "peak_memory_bytes": peak_memory_bytes}
    report, params = tuned.method.report(trainer), tuned.count()
    params["task_file_bytes"] = model.save(tuned, spec, store.adapter_path(results, spec))
    cost |= _cost(trainer, spec)
    return Result(
        spec=spec,
        history=trainer.history,
        accuracy=_accuracy(trainer),
        params=params,
        report=report,
        cost=cost,
        environment=environment() | {"device": _device_name(device), "dtype": spec.dtype},
    )


def prepare(
    spec: Spec, load: Load, device: torch.device, on_epoch: Callable[[Epoch], None], scratch: Path | None = None
) -> Trainer:
    """Seed torch, build what a spec says and put it before its trainer."""
    torch.manual_seed(spec.seed)
    return Trainer(
        model.build(spec),
        spec.recipe,
        load,
        seed=spec.seed,
        device=device,
        dtype=getattr(torch, spec.dtype),
        on_epoch=on_epoch,
        scratch=scratch,
        once=Once(spec, device),
    )


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


def _cost(trainer: Trainer, spec: Spec) -> dict[str, Any]:
    """Everything measured on the trained model; leaves it merged."""
    tuned, step_ms = trainer.model, trainer.clock.step_ms()
    batch = min(len(trainer.x), spec.recipe.batch_size)
    image = trainer.load("train")[0][:2].to(trainer.device)
    flops = {
        "forward": measure.forward_flops(tuned, image),
        "training": measure.training_flops(tuned, trainer.x[:2], trainer.y[:2], trainer.batch_loss),
    }
    unmerged = measure.latency_ms(tuned, image[:1])
    tuned.method.merge()
    return {
        "step_ms": step_ms,
        "images_per_second": batch / sum(step_ms.values()) * 1e3,
        "flops_per_image": flops,
        "latency_ms": {"unmerged": unmerged, "merged": measure.latency_ms(tuned, image[:1])},
    }


def _accuracy(trainer: Trainer) -> dict[str, Any]:
    """The merged model's accuracy, on test once and last; on val only if val was held out."""
    held_out = trainer.recipe.train_split == "train"
    return {
        "val": trainer.validate() if held_out else None,
        "test": trainer.test(),
        "test_samples": len(trainer.load("test")[1]),
        "checkpoint_rule": trainer.recipe.checkpoint_rule,
        "epoch": trainer.accuracy_epoch,
    }


@functools.cache
def environment() -> dict[str, Any]:
    """Commit, package versions and threads of this process."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
    }


def _git(*words: str) -> str:
    folder = Path(__file__).parent
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpu = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line]
        if cpu.exists()
        else []
    )
    return f"cpu: {names[0]}" if names else "cpu"
