"""Where a run was computed: the commit of the code, package versions, threads and the device."""

import functools
import importlib.metadata
import subprocess
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


@functools.cache
def environment() -> dict[str, Any]:
    """The commit of the code, whether files differ from it ("dirty"), package versions, and torch's threads."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
    }


def device_name(device: torch.device) -> str:
    """The name of the GPU, or of the CPU as in "cpu: AMD EPYC 9R14"; just "cpu" if the system does not name it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return f"cpu: {names[0]}" if names else "cpu"


def _git(*words: str) -> str:
    """The output of a git command in the folder of this file; empty if there is no git or no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
