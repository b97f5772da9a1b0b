"""Slurm: the script of the job array, and its elements, which submitit's local executor runs."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import run
from benchmarks.executors import attempt, queue, slurm
from benchmarks.executors.attempt import Outcome
from benchmarks.executors.claims import AlreadyClaimed
from benchmarks.executors.place import Listeners, Place
from benchmarks.files.root import data_root
from benchmarks.records import store
from benchmarks.records.spec import Spec

PLACE = Place(executor="slurm", device=torch.device("cpu"), workers=None)
QUICK = ["--methods", "linear", "norm", "--tasks", "digits", "--recipe", "epochs=1", "warmup_epochs=0"]


def execute(todo: list[Spec], results: Path, listeners: Listeners) -> Outcome:
    return slurm.execute(todo, results, PLACE, listeners, again=False, fail_fast=False, cluster="local")


def element_of(spec: Spec, results: Path) -> slurm.Element:
    return slurm.Element(spec=spec, results=results, place=PLACE, again=False, data_root=data_root())


def test_a_dry_run_shows_the_script_of_the_job_array(tmp_path, capsys):
    resources = ["--cpus-per-run", "3", "--workers", "7", "--resources", "partition=gpu", "timeout_min=90", "mem_gb=16"]
    argv = [*QUICK, "--seeds", *map(str, range(20)), "--executor", "slurm", *resources, "--results", str(tmp_path)]
    assert run.main([*argv, "--dry-run"]) == 0
    out = capsys.readouterr().out
    flags = {line.removeprefix("#SBATCH --") for line in out.splitlines() if line.startswith("#SBATCH")}
    wanted = {"array=0-39%7", "cpus-per-task=3", "mem=16GB", "partition=gpu", "requeue", "time=90"}
    assert wanted <= flags
    assert str(tmp_path / store.UNFINISHED) in out
    assert "srun" in out
    assert "7 at a time; nothing was run" in out
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.slow
def test_array_elements_store_records_and_report_failures(tmp_path, specs):
    linear, full = specs("linear", "full", recipe={"clip_grad": 0})
    broken = replace(full, config=replace(full.config, lr=1e30), recipe=replace(full.recipe, epochs=3))
    ended: list[object] = []
    outcome = execute([linear, broken], tmp_path, Listeners(on_end=ended.append))
    assert list(outcome.failed) == [broken]
    assert "loss was nan" in outcome.failed[broken]
    assert set(ended) == {linear, broken}
    (record,) = store.records(tmp_path)
    assert record["key"] == linear.key
    assert record["environment"]["threads"] == PLACE.cpus


@pytest.mark.slow
def test_a_job_that_crashes_outside_of_its_run_leaves_its_traceback(tmp_path, specs):
    (linear,) = specs("linear")
    (tmp_path / store.RUNS).write_text("")  # where the job needs a folder
    outcome = execute([linear], tmp_path, Listeners())
    assert "WriteError: cannot write " in outcome.failed[linear]
    trace = store.read_trace(tmp_path, linear)
    assert trace is not None
    assert "Traceback (most recent call last):" in trace["traceback"]


def test_an_element_skips_a_run_that_is_claimed_or_has_a_record(tmp_path, specs, one_thread):
    (linear,) = specs("linear")
    element = element_of(linear, tmp_path)
    lease = attempt.begin(linear, tmp_path, again=False)
    assert isinstance(element(), AlreadyClaimed)
    lease.release()
    assert element() is None
    assert isinstance(element(), AlreadyClaimed)


def test_an_element_is_repeated_after_a_time_limit(tmp_path, specs):
    element = element_of(specs("linear")[0], tmp_path)
    assert element.checkpoint().function == element


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["--executor", "slurm", "--resources", "partitoin=gpu", "--dry-run"], ["--resources", "partitoin"]),
        (["--executor", "slurm", "--gpus-per-run", "0.5", "--dtype", "float32", "--dry-run"], ["0.5", "whole"]),
        (["--executor", "slurm", "--address", "auto"], ["--address", "Ray"]),
        (["--executor", "slurm", "--workers", "0"], ["--workers 0", "from 1 to 1024"]),
        (["--executor", "slurm", "--device", "cuda:1"], ["cuda:1", "chooses"]),
        (["--executor", "slurm", "--device", "cpu", "--gpus-per-run", "1"], ["--gpus-per-run 1", "--device cpu"]),
        (["--executor", "slurm", "--resources", "mem_gb"], ["mem_gb", "NAME=VALUE"]),
        (["--executor", "ray", "--resources", "memory=much"], ["memory=much", "number"]),
        (["--executor", "ray", "--resources", "memory=-1"], ["memory=-1", "positive"]),
        (["--cpus-per-run", "2"], ["--cpus-per-run", "--executor"]),
        (["--address", "auto"], ["--address", "--executor"]),
    ],
)
def test_wrong_options_are_one_line(argv, parts, tmp_path, capsys):
    assert run.main([*QUICK, *argv, "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert [part for part in parts if part not in line] == []


def test_no_slurm_is_one_line(tmp_path, monkeypatch, complaint):
    monkeypatch.setenv("PATH", str(tmp_path))
    line = complaint(run.main, *QUICK, "--executor", "slurm", "--results", str(tmp_path / "results"))
    assert line.startswith("no Slurm here: ")
    assert "--dry-run" in line


def test_a_slurm_that_refuses_is_one_line(tmp_path, monkeypatch, complaint):
    for name in ("srun", "sbatch"):
        (tmp_path / name).write_text("#!/bin/sh\necho warning >&2\necho no such partition >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    line = complaint(run.main, *QUICK, "--executor", "slurm", "--results", str(tmp_path / "results"))
    assert line == "Slurm refused the jobs: no such partition; --dry-run shows the script"


def test_without_accounting_a_killed_job_is_found_by_the_queue(tmp_path, monkeypatch, capsys):
    commands = {"srun": "", "sbatch": "echo Submitted batch job 7", "sacct": "exit 1", "squeue": "echo 8_0"}
    for name, command in commands.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(queue, "POLL_SECONDS", 0.1)
    results = tmp_path / "results"
    assert run.main([*QUICK, "--executor", "slurm", "--results", str(results), "--tracking", "off"]) == 1
    assert "job 7_0 ended without a result; its log is" in capsys.readouterr().out
    assert len(list((results / store.UNFINISHED / "offline").rglob("*.json"))) == 2


@pytest.mark.parametrize(("executor", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_extra_is_one_line_with_the_command_that_installs_it(
    executor, package, tmp_path, monkeypatch, complaint
):
    monkeypatch.setitem(sys.modules, package, None)
    line = complaint(run.main, *QUICK, "--executor", executor, "--results", str(tmp_path))
    assert f"pip install '.[{executor}]'" in line
