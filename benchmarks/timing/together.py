"""Training steps of several processes side by side, which show how many small runs fill a device."""

import multiprocessing
import queue
import time
from collections.abc import Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Any

import torch

from benchmarks.cli import progress
from benchmarks.executors import processes
from benchmarks.timing import steps
from benchmarks.timing.steps import Case, Setting
from benchmarks.timing.turns import Turn
from benchmarks.training import memory
from methods.errors import UserError

WARM_UP = 3  # steps before the first round
SECONDS = 5.0  # per round
TIMEOUT_SECONDS = 600.0  # to build a model and take the first steps


def together(case: Case, setting: Setting, counts: Sequence[int], repeats: int) -> list[Turn]:
    """One turn per round and number of processes: milliseconds per step, counting the steps of all processes.

    All rounds with one number of processes are measured before those with the next number. They are returned round by
    round.

    Raises:
        UserError: the method does not work on the backbone, or the processes do not fit into memory.
    """
    steps.build(case, setting, setting.body())  # raises before any process starts
    cores = torch.get_num_threads()
    with progress() as bar:
        measured = bar.track(counts, description="processes side by side")
        rates = [_rates(case, setting, count, repeats, threads=max(1, cores // count)) for count in measured]
    rounds = (zip(counts, each, strict=True) for each in zip(*rates, strict=True))
    return [(f"{count} side by side", {"step": round(1e3 / rate, 3)}) for each in rounds for count, rate in each]


def _rates(case: Case, setting: Setting, count: int, repeats: int, threads: int) -> list[float]:
    """Steps per second of all processes together, for each round."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(count, timeout=TIMEOUT_SECONDS), spawn.Queue()
    asked = (case, setting, threads, [SECONDS] * repeats, barrier, answers)
    children: list[SpawnProcess] = []
    try:
        children.extend(processes.start(_steps, *asked) for _ in range(count))
        found = [_answer(answers, children) for _ in children]
        for child in children:
            child.join()
    finally:
        processes.end(children)
    reasons = [answer for answer in found if isinstance(answer, str)]
    if reasons:
        raise UserError(f"{count} processes side by side fail on {setting.device}: {reasons[0]}; ask for fewer")
    return [sum(rates) for rates in zip(*found, strict=True)]


def _answer(answers: Any, children: Sequence[SpawnProcess]) -> list[float] | str:
    """The next answer of a process, or the reason why there is none because a process died."""
    while True:
        try:
            answer: list[float] | str = answers.get(timeout=1.0)
            return answer
        except queue.Empty:
            if any(child.exitcode for child in children):
                return "a process ended early"


def _steps(case: Case, setting: Setting, threads: int, rounds: Sequence[float], barrier: Barrier, answers: Any) -> None:
    """Answer with the steps per second of this process in each round, or with the reason why it took none."""
    torch.set_num_threads(threads)
    try:
        step, rates = steps.step(steps.build(case, setting, setting.body()), setting), []
        _during(0.0, step, setting, WARM_UP)
        for seconds in rounds:
            barrier.wait()
            rates.append(_during(seconds, step, setting, 1))
        answers.put(rates)
    except BrokenBarrierError:
        answers.put("another process failed")
    except (RuntimeError, MemoryError) as error:
        barrier.abort()
        if not memory.ran_out(error):
            raise  # a bug keeps its traceback
        answers.put(memory.told(error))


def _during(seconds: float, step: steps.Step, setting: Setting, least: int) -> float:
    """Take steps for some seconds, but at least ``least`` steps. Returns steps per second."""
    start, taken = time.perf_counter(), 0
    while taken < least or time.perf_counter() - start < seconds:
        step(lambda part: None)
        if setting.device.type == "cuda":
            torch.cuda.synchronize(setting.device)
        taken += 1
    return taken / (time.perf_counter() - start)
