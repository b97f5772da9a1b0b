"""Where a run was computed: the commit of the code, versions of packages, threads and the name of the device."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


@functools.cache
def environment() -> dict[str, Any]:
    """Commit, package versions and threads of this process."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
    }


def device_name(device: torch.device) -> str:
    """The model of the GPU or of the CPU, as in "cpu: AMD EPYC 9R14"; "cpu" if the system does not say."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"cpu: {names[0]}" if names else "cpu"


def _git(*words: str) -> str:
    """What git says of the folder of this file; nothing if there is no git or no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
