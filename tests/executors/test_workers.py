"""Runs side by side: their records equal those of one process, even if workers or the command are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest import TempPathFactory

from benchmarks.executors import local, processes
from benchmarks.executors.attempt import OnEpoch
from benchmarks.executors.place import Listeners, Place, ignore
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.records.spec import Spec

TASKS, RECIPE = ("digits", "texture"), {"epochs": 2, "warmup_epochs": 0}
COMMAND = [sys.executable, "-m", "benchmarks.run", "--methods", "linear", "lora", "--tasks", *TASKS]
QUICK = [*COMMAND, "--recipe", *(f"{name}={value}" for name, value in RECIPE.items()), "--workers", "2", "--results"]
PLACE = Place(executor="local", device=torch.device("cpu"), workers=2)
KILLS = int(os.environ.get("PEFT_BENCH_KILLS", "1"))


def execute(
    todo: list[Spec], results: Path, on_epoch: OnEpoch = ignore, workers: int = 2
) -> tuple[dict[Spec, str], list[Spec]]:
    ended: list[Spec] = []
    listeners, place = Listeners(on_epoch=on_epoch, on_end=ended.append), replace(PLACE, workers=workers)
    outcome = local.side_by_side(todo, results, place, listeners, again=False, fail_fast=False)
    return outcome.failed, ended


def traces(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (results / store.UNFINISHED).rglob("*.json")]


@pytest.mark.slow
def test_runs_side_by_side_equal_those_of_one_process_with_as_many_threads(tmp_path, specs, numbers, in_process):
    todo = specs("linear", "norm")
    alone = in_process(todo, tmp_path / "one")
    execute(todo, tmp_path / "two")
    assert len(numbers(alone)) == 2
    assert numbers(alone) == numbers(tmp_path / "two")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([*QUICK, str(results)], check=True, capture_output=True)
    return results


@pytest.mark.slow
def test_a_sweep_killed_at_a_random_moment_ends_like_an_undisturbed_one(undisturbed, tmp_path, numbers, same):
    command, moments = [*QUICK, str(tmp_path)], random.Random(0)
    for _ in range(KILLS):
        kept = numbers(tmp_path)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(1, 12))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert kept.items() <= numbers(tmp_path).items()
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert same(tmp_path, undisturbed)


@pytest.mark.slow
def test_a_run_whose_process_keeps_dying_fails_and_the_others_finish(tmp_path, specs):
    victim, *others = specs("full", "linear", recipe={"epochs": 50})
    pids: set[int] = set()

    def kill(spec: Spec, epoch: object):
        if spec == victim:
            pid = (store.read_trace(tmp_path, victim) or {})["pid"]
            pids.add(pid)
            os.kill(pid, signal.SIGKILL)

    failed, ended = execute([victim, *others], tmp_path, on_epoch=kill)
    assert list(failed) == [victim]
    assert len(pids) == local.DEATHS
    assert "exit code -9" in failed[victim]
    assert sorted(map(str, ended)) == sorted(map(str, [victim, *others]))
    assert [r["key"] for r in store.records(tmp_path)] == [spec.key for spec in others]
    assert [trace["status"] for trace in traces(tmp_path)] == ["failed"]


@pytest.mark.slow
def test_ctrl_c_leaves_traces_and_no_process(tmp_path, specs):
    pids: list[int] = []

    def ctrl_c(spec: Spec, epoch: object):
        pids.extend(trace["pid"] for trace in traces(tmp_path))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(specs("full", tasks=TASKS, recipe={"epochs": 50}), tmp_path, on_epoch=ctrl_c)
    assert {trace["status"] for trace in traces(tmp_path)} == {"interrupted"}
    assert not list((tmp_path / store.UNFINISHED).rglob("*.claim"))
    assert pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_results_folder_that_cannot_be_written_stops_the_sweep(tmp_path, specs):
    (tmp_path / store.UNFINISHED).write_text("")  # where a folder is needed
    with pytest.raises(WriteError):
        execute(specs("linear"), tmp_path, workers=1)


def test_a_worker_that_finds_a_damaged_record_executes_the_run_again(tmp_path, specs):
    (linear,) = specs("linear")
    path = store.record_path(tmp_path, linear)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    execute([linear], tmp_path, workers=1)
    assert store.finished(tmp_path, linear) and path.with_name(f"{path.name}.bad").exists()


def test_a_worker_ignores_ctrl_c():
    before = signal.getsignal(signal.SIGINT)
    process = processes.start(time.sleep, 30)
    try:
        assert signal.getsignal(signal.SIGINT) is before
        assert process.pid
        for _ in range(10):  # before Python is up, in the imports, and after them
            os.kill(process.pid, signal.SIGINT)
            time.sleep(0.1)
            assert process.is_alive()
    finally:
        process.kill()
        process.join()


def test_a_worker_dies_with_its_command():
    code = "import time; from benchmarks.executors import processes; "
    code += "print(processes.start(time.sleep, 60).pid, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        pid = int(command.stdout.readline())
        os.kill(pid, 0)
        command.kill()
    with pytest.raises(ProcessLookupError):
        for _ in range(200):
            os.kill(pid, 0)
            time.sleep(0.1)


def test_the_default_is_one_worker_per_core_or_gpu():
    cores = torch.get_num_threads()
    assert local.default(torch.device("cpu"), 100) == min(cores, local.LIMIT)
    assert local.default(torch.device("cpu"), 1) == 1
    assert local.default(torch.device("cuda"), 100) == 1
