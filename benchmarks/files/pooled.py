"""Pooled features of a frozen backbone, computed once a machine and kept in the cache folder."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

import benchmarks
import methods
from benchmarks import measure
from benchmarks.files.contents import cache_root
from benchmarks.files.writing import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.spec import Spec

SOURCES = ("backbones/*.py", "model.py", "prefix.py")  # of the code that computes them, below ``benchmarks``


@dataclass(frozen=True, kw_only=True)
class Made:
    """Features (N, D), and what they cost when they were computed."""

    features: Tensor
    seconds: float
    peak_memory_bytes: int


class Once:
    """The features of one run's training samples.

    A run is charged with what they cost when they were computed: ``spared_seconds`` is how much longer that took than
    getting them did here, and ``peak_memory_bytes`` the memory it took.
    """

    def __init__(self, spec: Spec, device: torch.device) -> None:
        self._spec, self._device = spec, device
        self.spared_seconds, self.peak_memory_bytes = 0.0, 0

    def __call__(self, compute: Callable[[], Tensor], x: Tensor) -> Tensor:
        """What ``compute`` gives for the samples ``x``, from the cache if it has that."""
        start = time.perf_counter()
        path = cache_root() / "features" / f"{_key(self._spec, self._device, x)}.safetensors"
        made = _kept(path) or self._make(path, compute)
        self.spared_seconds = made.seconds - (time.perf_counter() - start)
        self.peak_memory_bytes = made.peak_memory_bytes
        return made.features.to(x.device)

    def _make(self, path: Path, compute: Callable[[], Tensor]) -> Made:
        """Compute them, while other processes of this machine that need them wait."""
        from filelock import FileLock

        made = None
        with suppress(OSError):  # nowhere to keep them: they are computed again next time
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # the system takes it back when its holder dies
                made = _kept(path)
                if made is None:
                    made = self._computed(compute)
                    cost = json.dumps({"seconds": made.seconds, "peak_memory_bytes": made.peak_memory_bytes})
                    write_atomic(path, to_bytes({"features": made.features.cpu()}, metadata={"cost": cost}))
        return made or self._computed(compute)

    def _computed(self, compute: Callable[[], Tensor]) -> Made:
        start = time.perf_counter()
        features = compute()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - start
        return Made(features=features, seconds=seconds, peak_memory_bytes=measure.peak_memory_bytes(self._device))


def _kept(path: Path) -> Made | None:
    try:
        with safe_open(str(path), framework="pt") as file:
            return Made(features=file.get_tensor("features"), **json.loads(file.metadata()["cost"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None  # none, or one that a crash has damaged


def _key(spec: Spec, device: torch.device, x: Tensor) -> str:
    """Of all that decides a bit of the features: the samples, the weights, the code, and what computes them."""
    config = {name: value for name, value in asdict(spec.config).items() if name not in ("lr", "weight_decay")}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.get_num_threads()
    told = [spec.method, config, spec.backbone.sha256, spec.backbone.mean, spec.recipe.normalization, spec.dtype]
    digest = hashlib.sha256(json.dumps([*told, str(name), list(x.shape), str(x.dtype), _code()]).encode())
    digest.update(x.contiguous().cpu().numpy().data)
    return digest.hexdigest()[:32]


@cache
def _code() -> str:
    packages = [version(package) for package in ("torch", "timm")]
    folders = [(benchmarks, pattern) for pattern in SOURCES] + [(methods, "*.py")]
    files = [path for package, pattern in folders for path in sorted(Path(package.__path__[0]).glob(pattern))]
    return hashlib.sha256(" ".join(packages).encode() + b"".join(path.read_bytes() for path in files)).hexdigest()
