"""Where a run was computed: the version and commit of the code, package versions, threads and the device."""

import functools
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import torch

from benchmarks import __version__
from benchmarks.training.provenance import provenance

PACKAGES = ("torch", "torchvision", "timm", "numpy", "scikit-learn", "safetensors")


@functools.cache
def environment() -> dict[str, Any]:
    """Version and commit of the code, whether files differ from it ("dirty"), package versions, and torch's threads."""
    return {
        "version": __version__,
        **provenance(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES},
        "threads": torch.get_num_threads(),
    }


def device_name(device: torch.device) -> str:
    """The name of the GPU, or of the CPU as in "cpu: AMD EPYC 9R14 (family 25, model 17), AVX512"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    name = processor(info.read_text() if info.exists() else "")
    return f"cpu: {name}, {torch.backends.cpu.get_cpu_capability()}"


def processor(cpuinfo: str) -> str:
    """The processor's model in the text of /proc/cpuinfo, or Python's name for it if the text has none.

    Family and model number tell generations apart where a virtual machine says no more than "AMD EPYC".
    """
    pairs = [line.partition(":") for line in cpuinfo.splitlines()]
    fields = {name.strip(): value.strip() for name, _, value in reversed(pairs)}  # the first processor's
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    numbers = [
        f"{word} {fields[name]}" for word, name in (("family", "cpu family"), ("model", "model")) if name in fields
    ]
    return fields["model name"] + (f" ({', '.join(numbers)})" if numbers else "")
