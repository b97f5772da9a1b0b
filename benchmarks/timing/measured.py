"""The measurements of `python -m benchmarks.speed`. The first step of a Timing is the one to compare with."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial

import torch

from benchmarks import backbones
from benchmarks.timing import probes, steps, together
from benchmarks.timing.steps import FULL, LORA, PEER, Case, Setting, Step
from benchmarks.timing.turns import CLOCKS, Timing, Turn, interleaved
from benchmarks.training import measure
from benchmarks.training.environment import device_name
from methods import get, table

GIVE_BACK = "MALLOC_MMAP_THRESHOLD_"  # glibc gives freed memory of at least so many bytes back at once
ADAPTERX, DTL = Case(method="adapterx"), Case(method="dtl")
NARROW = Case(method="adaptformer", options={"hidden": 8})  # the width for which its parameter count is published
# bars: the largest allowed ratio of a step to a step of the frozen floor, on ViT-B/16 and two CPU cores
BARS: Sequence[tuple[Case, float]] = (
    (LORA, 1.05),
    (Case(method="adapter"), 1.05),
    (NARROW, 1.05),
    (Case(method="ssf"), 1.25),
    (ADAPTERX, 1.15),
    (Case(method="mosa"), 2.3),
    (DTL, 0.8),
)
SAVING = (LORA, FULL, DTL, Case(method="last"))  # side networks against an update of the blocks and full training
BAR_ROUNDS = 3  # methods with a bar are measured in this many times the rounds, to tell small differences apart
# steps that each need only a setting
PROBES: Mapping[str, Callable[[Setting], Mapping[str, Step]]] = {
    make.__name__: make
    for make in (probes.sampling, probes.folding, probes.optimizers, probes.harness, probes.probe, probes.evaluation)
}


def methods(cases: Sequence[Case], setting: Setting, repeats: int, clock: str, *, what: str = "methods") -> Timing:
    """A training step of each case against a step of the frozen floor."""
    return _timing(what, steps.method_steps(cases, setting), setting, repeats, clock)


def compilation(cases: Sequence[Case], setting: Setting, repeats: int, clock: str) -> Timing:
    """A training step of each case, not compiled and compiled."""
    both = [replace(case, compiled=compiled) for case in cases for compiled in (False, True)]
    return methods(both, setting, repeats, clock, what="compilation")


def side_by_side(case: Case, setting: Setting, counts: Sequence[int], repeats: int) -> Timing:
    """Training steps of several processes at the same time, for each number of processes."""
    return _measured("together", setting, "wall", lambda: together.together(case, setting, counts, repeats))


def probe(what: str, setting: Setting, repeats: int, clock: str) -> Timing:
    """The steps of one of ``PROBES``."""
    return _timing(what, PROBES[what](setting), setting, repeats, clock)


def memory(cases: Sequence[Case], setting: Setting, repeats: int, clock: str) -> Timing:
    """A training step of each case against a step of the frozen floor, and its peak memory."""
    return replace(methods(cases, setting, repeats, clock, what="memory"), peak_bytes=peaks(cases, setting))


def peaks(cases: Sequence[Case], setting: Setting) -> dict[str, int]:
    """The most bytes that two steps of a case need, weights included, each in a process of its own.

    On CUDA these are allocated bytes. On a CPU they are resident bytes beyond those of the same process after a step of
    a small model, which loads what every step needs. glibc gives freed memory back at once in these processes; another
    allocator may keep some of it.
    """
    spawn, before = multiprocessing.get_context("spawn"), os.environ.get(GIVE_BACK)
    os.environ[GIVE_BACK] = str(2**20)
    try:
        with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
            return dict(zip(map(str, cases), pool.map(_peak, cases, [setting] * len(cases)), strict=True))
    finally:
        os.environ.pop(GIVE_BACK)
        os.environ.update({} if before is None else {GIVE_BACK: before})


def report(device: torch.device, dtype: torch.dtype, repeats: int, clock: str) -> dict[str, Callable[[], Timing]]:
    """The measurements of the page timing/README.md on a device, by name. Each is made when its function is called."""
    images = Setting(backbone="vit_base_patch16_224", batch_size=8, device=device, dtype=dtype)
    clouds = replace(images, backbone="point_mae")
    other = {"sampling": clouds, "folding": clouds, "evaluation": replace(images, backbone="deit_tiny_patch16_224")}
    parts: dict[str, Callable[[], Timing]] = {
        "points": partial(methods, every("points"), clouds, repeats, clock),
        **{name: partial(probe, name, other.get(name, images), repeats, clock) for name in PROBES},
        "compilation": partial(compilation, (LORA, ADAPTERX), images, repeats, clock),
        "images": partial(methods, every("image"), images, repeats, clock),
        "memory": partial(memory, SAVING, images, repeats, clock),
    }
    if device.type == "cpu":
        cases = [Case(method=PEER), *[case for case, _ in BARS]]
        parts["bars"] = partial(methods, cases, images, BAR_ROUNDS * repeats, clock, what="bars")
    return parts


def every(modality: str) -> list[Case]:
    """The peer and all methods that work on a modality, and AdaptFormer a second time at its published width."""
    own = [Case(method=name) for name in table() if modality in get(name).modalities]
    return [Case(method=PEER), *own, NARROW]


def _peak(case: Case, setting: Setting) -> int:
    kind = backbones.modality(setting.backbone)
    small = next(name for name, modality in backbones.EMBEDDED.items() if modality == kind)
    _two_steps(LORA, replace(setting, backbone=small))
    gc.collect()
    measure.reset_peak_memory(setting.device)
    start = measure.peak_memory_bytes(setting.device)
    _two_steps(case, setting)
    return measure.peak_memory_bytes(setting.device) - start


def _two_steps(case: Case, setting: Setting) -> None:
    step = steps.step(steps.build(case, setting, setting.body()), setting)
    for _ in range(2):
        step(lambda part: None)


def _timing(what: str, timed: Mapping[str, Step], setting: Setting, repeats: int, clock: str) -> Timing:
    timing = _measured(what, setting, clock, lambda: interleaved(timed, repeats, setting.device, clock))
    warm_up, turns = timing.turns[: len(timed)], timing.turns[len(timed) :]
    first_ms = {name: sum(parts.values()) for name, parts in warm_up if name.endswith(steps.COMPILED)}
    return replace(timing, turns=turns, first_ms=first_ms)


def _measured(what: str, setting: Setting, clock: str, take_turns: Callable[[], Sequence[Turn]]) -> Timing:
    """The turns with what was timed, where, and at what rates this machine multiplies and copies."""
    load, read = os.getloadavg()[0], CLOCKS[clock]
    rates = {
        "product_flops_per_second": measure.product_flops_per_second(setting.device, setting.dtype, read),
        "copy_bytes_per_second": measure.copy_bytes_per_second(setting.device, read),
    }
    turns = take_turns()
    machine = {"device": device_name(setting.device), "threads": torch.get_num_threads(), "torch": torch.__version__}
    machine |= {"load": [round(load, 1), round(os.getloadavg()[0], 1)]}  # the averages of the last minute
    described = {"what": what, "clock": clock, **setting.to_json()}
    return Timing(setting=described, machine=machine | rates, turns=turns)
