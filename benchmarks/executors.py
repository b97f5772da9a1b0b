"""What a run is, and the plainest place for it: this process, one run after the other."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure, model, store, suites
from benchmarks.spec import Result, Spec
from benchmarks.train import Epoch, Load, Trainer

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


def run(spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None]) -> Result:
    """Train and test one model; writes its task file and returns its record."""
    measure.reset_peak_memory(device)
    load = partial(suites.get(spec.suite).load, spec.task, size=spec.backbone.image_size)
    trainer = prepare(spec, load, device, on_epoch, store.scratch_path(results, spec))
    tuned = trainer.model
    start = time.perf_counter()
    tuned.method.fit(trainer)
    cost = {"train_seconds": time.perf_counter() - start, "peak_memory_bytes": measure.peak_memory_bytes(device)}
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
    )


def in_process(
    specs: Sequence[Spec],
    results: Path,
    device: torch.device,
    *,
    fail_fast: bool,
    on_epoch: Callable[[Spec, Epoch], None],
    on_end: Callable[[Spec], None],
) -> dict[Spec, str]:
    """Run one after the other and store each record at once; returns the reasons of those that failed.

    Raises:
        OSError: the results folder stopped taking files, so going on would lose work.
    """
    failed: dict[Spec, str] = {}
    for spec in specs:
        reason = attempt(spec, results, device, partial(on_epoch, spec))
        on_end(spec)
        if reason is not None:
            failed[spec] = reason
            if fail_fast:
                break
    return failed


def attempt(spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None]) -> str | None:
    """Run and store the record, or leave a trace and return the reason why there is none."""
    store.write_trace(results, spec, "started", "still running, or killed")
    try:
        store.write(results, run(spec, results, device, on_epoch))
    except KeyboardInterrupt:
        store.write_trace(results, spec, "interrupted", "Ctrl-C")
        raise
    except OSError:
        raise
    except Exception as error:  # one run's failure must not cost the others; its reason is kept and shown
        reason = f"{type(error).__name__}: {error}"
        store.write_trace(results, spec, "failed", reason)
        return reason
    return None


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
