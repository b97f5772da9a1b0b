"""Pooled features of a frozen backbone, computed once per machine and kept in the cache folder."""

import hashlib
import json
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

import benchmarks
import methods
from benchmarks.files import sealed
from benchmarks.files.contents import cache_root
from benchmarks.records.spec import Spec
from benchmarks.training import measure
from methods.errors import UserError

# the code that computes and stores features, below ``benchmarks``
SOURCES = ("backbones/*.py", "training/model.py", "training/prefix.py", "training/feature_cache.py")


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features (N, D), and what computing them cost."""

    features: Tensor
    seconds: float
    peak_memory_bytes: int


class FeatureCache:
    """The features of one run's training samples.

    Reported training time includes computing the features, even if they came from the cache. ``seconds_saved`` is the
    time that the cache saved this run, and ``peak_memory_bytes`` the memory that computing the features took.
    """

    def __init__(self, spec: Spec, device: torch.device) -> None:
        self._spec, self._device = spec, device
        self.seconds_saved, self.peak_memory_bytes = 0.0, 0

    def __call__(self, compute: Callable[[], Tensor], x: Tensor) -> Tensor:
        """The features of the samples ``x``: from the cache, or computed by ``compute``."""
        start = time.perf_counter()
        try:
            path = cache_root() / "features" / f"{_key(self._spec, self._device, x)}.safetensors"
        except UserError:  # this user has no home folder, so nothing is stored
            found = self._compute(compute)
        else:
            found = _read(path) or self._compute_alone(path, compute)
        self.seconds_saved = found.seconds - (time.perf_counter() - start)
        self.peak_memory_bytes = found.peak_memory_bytes
        return found.features.to(x.device)

    def _compute_alone(self, path: Path, compute: Callable[[], Tensor]) -> Features:
        """Compute and store features, while other processes on this machine that need the same features wait."""
        with ExitStack() as lock:
            try:
                lock.enter_context(sealed.alone(path))
            except OSError:  # the cache folder cannot be written, so nothing is stored
                return self._compute(compute)
            found = _read(path)  # another process may have stored them by now
            if found is None:
                found = self._compute(compute)
                cost = json.dumps({"seconds": found.seconds, "peak_memory_bytes": found.peak_memory_bytes})
                with suppress(OSError):  # if they cannot be stored, they are computed again next time
                    sealed.write_tensors(path, {"features": found.features.cpu()}, {"cost": cost})
            return found

    def _compute(self, compute: Callable[[], Tensor]) -> Features:
        start = time.perf_counter()
        features = compute()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        seconds = time.perf_counter() - start
        return Features(features=features, seconds=seconds, peak_memory_bytes=measure.peak_memory_bytes(self._device))


def _read(path: Path) -> Features | None:
    if (found := sealed.read_tensors(path)) is None:
        return None
    tensors, metadata = found
    return Features(features=tensors["features"], **json.loads(metadata["cost"]))


def _key(spec: Spec, device: torch.device, x: Tensor) -> str:
    """A digest of all that decides the features to the bit: samples, weights, code, device and number type."""
    config = {name: value for name, value in asdict(spec.config).items() if name not in ("lr", "weight_decay")}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.get_num_threads()
    backbone = spec.backbone
    values = [spec.method, config, backbone.sha256, backbone.mean, backbone.frame]
    values += [spec.recipe.normalization, spec.dtype]
    digest = hashlib.sha256(json.dumps([*values, str(name), list(x.shape), str(x.dtype), _code()]).encode())
    digest.update(x.contiguous().cpu().numpy().data)
    return digest.hexdigest()[:32]


@cache
def _code() -> str:
    """A digest of the versions of torch and timm and of the source files that compute features."""
    packages = [version(package) for package in ("torch", "timm")]
    folders = [(benchmarks, pattern) for pattern in SOURCES] + [(methods, "*.py")]
    files = [path for package, pattern in folders for path in sorted(Path(package.__path__[0]).glob(pattern))]
    return hashlib.sha256(" ".join(packages).encode() + b"".join(path.read_bytes() for path in files)).hexdigest()
