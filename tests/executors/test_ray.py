"""Ray: its records equal those of one process, even if nodes, processes or the driver die."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import run
from benchmarks.executors import driver
from benchmarks.executors.attempt import Outcome
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import store
from benchmarks.records.spec import Spec
from methods.errors import UserError

ray = pytest.importorskip("ray", reason="needs the extra ray")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")


def complete(todo: list[Spec], results: Path, address: str | None = None, **options: Any) -> Outcome:
    place = Place(executor="ray", device=CPU, workers=None, address=address)
    return driver.complete(todo, results, place, Listeners(**options), again=False, fail_fast=False)


def test_runs_on_ray_equal_those_of_one_process(tmp_path, specs, same_files, in_process):
    todo = specs("linear", "norm")
    alone, epochs = in_process(todo, tmp_path / "alone"), list[tuple[Spec, int]]()
    broken = replace(todo[1], config=replace(todo[1].config, lr=1e30), recipe=replace(todo[1].recipe, clip_grad=0))
    (tmp_path / "ray").mkdir()
    outcome = complete(
        [*todo, broken], tmp_path / "ray", on_epoch=lambda spec, epoch: epochs.append((spec, epoch["epoch"]))
    )
    assert list(outcome.failed) == [broken]
    assert "loss was nan" in outcome.failed[broken]
    assert set(epochs) == {(spec, 1) for spec in todo}
    assert same_files(tmp_path / "ray", alone)
    here, there = (store.records(folder)[0]["environment"] for folder in (alone, tmp_path / "ray"))
    assert here == there
    left = [path for path in (tmp_path / "ray" / store.UNFINISHED).rglob("*") if path.is_file()]
    assert [path.suffix for path in left] == [".json"]
    assert not ray.is_initialized()


def test_a_run_that_the_memory_monitor_kills_fails_and_is_done_later(
    tmp_path, monkeypatch, specs, same_files, in_process
):
    (norm,) = specs("norm", recipe={"epochs": 200})
    (tmp_path / "ray").mkdir()
    with monkeypatch.context() as patch:
        patch.setenv("RAY_memory_usage_threshold", "0.01")
        patch.setenv("RAY_memory_monitor_refresh_ms", "100")
        outcome = complete([norm], tmp_path / "ray")
    assert list(outcome.failed) == [norm]
    assert "OutOfMemoryError" in outcome.failed[norm]
    trace = store.read_trace(tmp_path / "ray", norm)
    assert trace is not None
    assert (trace["status"], trace["reason"]) == ("failed", outcome.failed[norm])
    (short,) = specs("norm")
    assert complete([short], tmp_path / "ray") == Outcome()
    assert same_files(tmp_path / "ray", in_process([short], tmp_path / "alone"))


def test_no_cluster_is_one_line(tmp_path, complaint):
    argv = ["--methods", "linear", "--tasks", "digits", "--executor", "ray", "--results", str(tmp_path)]
    assert complaint(run.main, *argv, "--address", "127.0.0.1:1").startswith("cannot reach Ray at 127.0.0.1:1: ")


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head that executes nothing, and two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    # with Ray's default niceness its workers wait for every other process
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": {"worker_niceness": 0}})
    for _ in range(2):
        found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


def test_a_node_that_dies_costs_no_run(cluster, tmp_path, specs, same_files, in_process):
    todo, killed = specs("norm", seeds=(0, 1, 2), recipe={"epochs": 8}), list[object]()
    alone = in_process(todo, tmp_path / "alone")

    def kill(spec: Spec, epoch: dict[str, int]):
        if not killed:
            killed.append(next(iter(cluster.worker_nodes)))
            cluster.remove_node(killed[0], allow_graceful=False)

    (tmp_path / "ray").mkdir()
    assert complete(todo, tmp_path / "ray", cluster.address, on_epoch=kill) == Outcome()
    assert len(killed) == 1
    assert same_files(tmp_path / "ray", alone)


def test_a_command_whose_driver_died_is_repeated(cluster, tmp_path, specs, numbers, in_process):
    todo = specs("norm", seeds=(0, 1, 2), recipe={"epochs": 8})
    alone = in_process(todo, tmp_path / "alone")
    argv = ["--methods", "norm", "--tasks", "digits", "--seeds", "0", "1", "2", "--recipe", "epochs=8"]
    place = ["warmup_epochs=0", "--executor", "ray", "--address", cluster.address, "--results", str(tmp_path / "ray")]
    command = [sys.executable, "-m", "benchmarks.run", *argv, *place]
    first = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not store.records(tmp_path / "ray"):
        assert first.poll() is None
        time.sleep(0.2)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = numbers(tmp_path / "ray")
    assert kept.items() <= numbers(alone).items()
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second
    assert f"{len(todo) - len(kept)} trained, {len(kept)} already finished" in second.stdout
    assert numbers(tmp_path / "ray") == numbers(alone)


def test_nodes_without_the_results_folder_send_their_files(
    cluster, tmp_path, monkeypatch, specs, same_files, in_process
):
    todo = specs("linear", "norm")
    alone = in_process(todo, tmp_path / "alone")
    on_ray = driver.executor("ray")
    sent = on_ray.Task
    monkeypatch.setattr(on_ray, "Task", lambda **fields: sent(**(fields | {"token": None})))
    assert complete(todo, tmp_path / "ray", cluster.address) == Outcome()
    assert same_files(tmp_path / "ray", alone)


def test_a_run_that_fits_no_node_is_one_line(cluster, tmp_path, specs):
    place = Place(executor="ray", device=CPU, workers=None, cpus=2, address=cluster.address)
    with pytest.raises(UserError, match=r"no node of the Ray cluster has room.*CPU"):
        driver.complete(specs("linear"), tmp_path, place, Listeners(), again=False, fail_fast=False)
