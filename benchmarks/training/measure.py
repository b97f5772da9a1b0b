"""What a model costs: step times, operations, memory and latency. Each is measured, none is derived from another."""

import copy
import itertools
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from benchmarks.training.model import Classifier


class StepClock:
    """Times the parts of every training step. Inside a step the host never waits for the device."""

    def __init__(self, device: torch.device, read: Callable[[], float] = time.perf_counter) -> None:
        """``read`` gives the time in seconds; CUDA devices have their own clock and do not use it."""
        self._cuda, self._read = device.type == "cuda", read
        self._steps: list[list[tuple[str, Any]]] = []

    @contextmanager
    def step(self) -> Iterator[Callable[[str], None]]:
        """Time one step: call the yielded function with the name of each part when the part ends."""
        marks = [("start", self._now())]
        yield lambda name: marks.append((name, self._now()))
        self._steps.append(marks)

    def step_ms(self) -> dict[str, float]:
        """The median milliseconds of each part over all steps."""
        steps = self.steps_ms()
        return {name: statistics.median(step[name] for step in steps) for name in (steps[0] if steps else ())}

    def steps_ms(self) -> list[dict[str, float]]:
        """The milliseconds of each part, one dict per step."""
        if self._cuda:
            torch.cuda.synchronize()
        return [
            {
                name: start.elapsed_time(end) if self._cuda else (end - start) * 1e3
                for (_, start), (name, end) in itertools.pairwise(marks)
            }
            for marks in self._steps
        ]

    def _now(self) -> Any:
        if not self._cuda:
            return self._read()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory.

    On CUDA this is the peak of the allocator, elsewhere that of this process. Only Linux can reset the latter.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # the peak then covers the process from its start
            Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes(device: torch.device) -> int:
    """Peak bytes since ``reset_peak_memory``: allocated on the CUDA device, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if (status := Path("/proc/self/status")).exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def counting() -> FlopCounterMode:
    """torch's counter of operations, with formulas for two operators that it lacks.

    One is the in-place batched product that some methods use. The other is attention on a CPU, which torch 2.14 no
    longer counts.
    """
    aten = torch.ops.aten
    counted_as = {
        aten.baddbmm_: aten.baddbmm,
        aten._scaled_dot_product_flash_attention_for_cpu: aten._scaled_dot_product_flash_attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: aten._scaled_dot_product_flash_attention_backward,
    }
    formulas = {lacking: flop_registry[known].__wrapped__ for lacking, known in counted_as.items()}
    return FlopCounterMode(display=False, custom_mapping=formulas)


def forward_flops(model: Classifier, x: Tensor) -> int:
    """Floating-point operations per sample in inference.

    Matrix products, convolutions and attention are counted (torch's FlopCounterMode). A multiply-add counts as two.
    """
    model.eval()
    with counting() as counter, torch.no_grad():
        model(x)
    return int(counter.get_total_flops()) // len(x)


def training_flops(
    model: Classifier, x: Tensor, y: Tensor, loss: Callable[[Classifier, Tensor, Tensor], Tensor]
) -> int:
    """Floating-point operations per sample of a training step: forward and backward, on a copy of the model."""
    model = copy.deepcopy(model).train()
    with counting() as counter:
        loss(model, x, y).backward()
    return int(counter.get_total_flops()) // len(x)


def latency_ms(model: Classifier, x: Tensor, repeats: int = 9) -> float:
    """The median milliseconds of an inference call on the batch ``x``, after two calls to warm up."""
    model.eval()
    times = []
    with torch.inference_mode():
        for _ in range(repeats + 2):
            start = time.perf_counter()
            model(x)
            if x.device.type == "cuda":
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[2:])


def product_flops_per_second(device: torch.device, dtype: torch.dtype, read: Callable[[], float]) -> float:
    """Floating-point operations per second of a large matrix product."""
    size = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _quickest_seconds(lambda: torch.mm(a, b), device, read)


def copy_bytes_per_second(device: torch.device, read: Callable[[], float]) -> float:
    """Bytes per second that a copy reads and writes; it is larger than any cache of a CPU or GPU."""
    source = torch.ones(2**30 if device.type == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _quickest_seconds(lambda: target.copy_(source), device, read)


def _quickest_seconds(
    work: Callable[[], object], device: torch.device, read: Callable[[], float], repeats: int = 9
) -> float:
    """The seconds of the quickest call after one to warm up. Other work on the machine disturbs the quickest least."""
    clock = StepClock(device, read)
    work()
    for _ in range(repeats):
        with clock.step() as mark:
            work()
            mark("work")
    return min(step["work"] for step in clock.steps_ms()) / 1e3
