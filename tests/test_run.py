"""The command line from end to end, in this process, on one small task."""

import inspect
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import methods
from benchmarks import run
from benchmarks.cli import cannot
from benchmarks.files.writing import WriteError
from benchmarks.records import store
from benchmarks.sweeps import report
from methods import source
from methods.linear import Linear

Complaint, Numbers = Callable[..., str], Callable[[Path], dict[str, object]]
QUICK = ["--tasks", "digits", "--recipe", "epochs=2", "warmup_epochs=0"]
BROKEN = ["--methods", "full", "linear", "--set", "full.lr=1e30", *QUICK, "clip_grad=0"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    results = tmp_path_factory.mktemp("finished")
    assert run.main(["--methods", "linear", "lora", *QUICK, "--results", str(results)]) == 0
    return results


def test_leaves_records_task_files_leaderboard_and_plot(finished):
    ran = [(record["spec"]["method"], record["spec"]["task"]) for record in store.records(finished)]
    assert ran == [("linear", "digits"), ("lora", "digits")]
    assert [record["labels"] for record in store.records(finished)] == [list("0123456789")] * 2
    assert {path.suffix for path in finished.glob("leaderboard.*")} == {".md", ".csv", ".tex", ".html"}
    assert (finished / "runs.parquet").exists()
    assert {path.name for path in (finished / "figures").iterdir()} == {"pareto.png", "pareto.svg", "pareto.pdf"}
    assert len(list((finished / store.ADAPTERS).rglob("*.safetensors"))) == 2
    assert not list((finished / store.UNFINISHED).rglob("*.json"))


def test_repeat_trains_nothing(finished, capsys):
    before = {path: path.stat().st_mtime_ns for path in (finished / store.RUNS).rglob("*.json")}
    assert run.main(["--methods", "linear", "lora", *QUICK, "--results", str(finished)]) == 0
    assert {path: path.stat().st_mtime_ns for path in (finished / store.RUNS).rglob("*.json")} == before
    assert "2 runs: 0 trained, 2 already finished, 0 failed" in capsys.readouterr().out


def test_pictures_highlight_the_method_that_is_asked_for(finished, monkeypatch):
    asked = []
    monkeypatch.setattr(report, "save", lambda *_, highlight: asked.append(highlight) or [])
    for more in ([], ["--highlight", "lora"]):
        assert run.main(["--methods", "linear", *QUICK, "--results", str(finished), *more]) == 0
    assert asked == ["adapterx", "lora"]


def test_two_executions_agree_to_the_last_bit(finished, tmp_path, numbers):
    assert run.main(["--methods", "linear", "lora", *QUICK, "--results", str(tmp_path)]) == 0
    assert numbers(tmp_path) == numbers(finished)


def test_force_runs_again(finished, numbers):
    path = next((finished / store.RUNS).rglob("linear*.json"))
    before, old = path.stat().st_mtime_ns, numbers(finished)
    assert run.main(["--methods", "linear", *QUICK, "--force", "--results", str(finished)]) == 0
    assert path.stat().st_mtime_ns > before
    assert numbers(finished) == old


def test_a_changed_method_is_trained_again_unless_its_records_are_kept(finished, tmp_path, monkeypatch, capsys):
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    for place in ("sweeps.sweep", "training.run"):  # linear's code is not known
        monkeypatch.setattr(f"benchmarks.{place}.digest", {methods.get("lora"): "0" * 16}.get)
    run_again = ["--methods", "linear", "lora", *QUICK, "--results", str(tmp_path)]
    told = "warning: method 'lora': other code than today's made 1 of 1 records; such records are "
    assert run.main([*run_again, "--keep-outdated"]) == 0
    out, err = capsys.readouterr()
    assert f"{told}kept as they are\n" in err and "0 trained, 2 already finished" in out
    assert run.main(run_again) == 0
    out, err = capsys.readouterr()
    assert f"{told}made again; --keep-outdated counts such runs as finished\n" in err
    assert "1 trained, 1 already finished" in out
    assert [record["method_digest"] for record in store.records(tmp_path)] == [source.digest(Linear), "0" * 16]


def test_a_list_is_swept_over(tmp_path, capsys):
    config = tmp_path / "sweep.yaml"
    config.write_text("methods: lora\ntasks: digits\nseeds: [0, 1]\nset: {lora: {rank: [2, 4]}}\nrecipe: {epochs: 9}\n")
    assert run.main(["--config", str(config), "--recipe", "epochs=1", "warmup_epochs=0", "--dry-run"]) == 0
    assert re.search(r"^4 runs, .*; nothing was run$", capsys.readouterr().out, re.MULTILINE)


def test_sets_of_options_are_rows_of_their_own(tmp_path, capsys):
    config = tmp_path / "sweep.yaml"
    config.write_text("methods: adapterx\nset: {adapterx: [{}, {shared: false}, {variant: dynamic}]}\n")
    assert run.main(["--config", str(config), *QUICK[:2], "--set", "adapterx.hidden=4", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "3 runs" in out
    smoa, own = 4 * (32 * 4 + 4 + 4 * 32 + 32) + 32 * 16 + 4 * 16, 12 * 4 * 96 + 96
    counts = [smoa + own, 12 * smoa + own, smoa + own + 12 * 97]
    assert [count for count in counts if f" {count:,} " not in out] == []


def test_a_failed_run_is_traced_and_the_others_go_on(tmp_path, capsys):
    assert run.main([*BROKEN, "--results", str(tmp_path)]) == 1
    assert "1 trained, 0 already finished, 1 failed" in capsys.readouterr().out
    (trace,) = (json.loads(path.read_text()) for path in (tmp_path / store.UNFINISHED).rglob("*.json"))
    assert trace["status"] == "failed"
    assert "loss was nan" in trace["reason"]
    assert [record["spec"]["method"] for record in store.records(tmp_path)] == ["linear"]


def test_a_bug_in_a_method_is_traced_with_file_and_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "misfit", f"{__name__}:Misfit")
    assert run.main(["--methods", "misfit", *QUICK, "--results", str(tmp_path)]) == 1
    (path,) = (tmp_path / store.UNFINISHED).rglob("*.json")
    trace = json.loads(path.read_text())
    line = inspect.getsourcelines(Misfit.features)[1] + 1
    assert re.match("RuntimeError: (mm: )?mat1 and mat2 shapes cannot be multiplied", trace["reason"])
    assert f'  File "{__file__}", line {line}, in features' in trace["traceback"]
    assert str(path) in capsys.readouterr().out


class Misfit(Linear):
    """Its forward pass multiplies matrices whose shapes do not match."""

    def features(self, pooled: torch.Tensor) -> torch.Tensor:
        return pooled @ torch.ones(7, 7)


def test_fail_fast_stops_the_others(tmp_path):
    assert run.main([*BROKEN, "--fail-fast", "--results", str(tmp_path)]) == 1
    assert store.records(tmp_path) == []


def test_a_run_with_a_corrupt_record_is_executed_again_and_the_file_is_kept(finished, tmp_path, numbers, capsys):
    shutil.copytree(finished / store.RUNS, tmp_path / store.RUNS)
    path = next((tmp_path / store.RUNS).rglob("linear*.json"))
    half = path.read_text()[: path.stat().st_size // 2]
    path.write_text(half)
    assert run.main(["--methods", "linear", *QUICK, "--results", str(tmp_path)]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"warning: record {path}: ") for line in warnings] == [True]
    assert path.with_name(f"{path.name}.bad").read_text() == half
    assert numbers(tmp_path) == numbers(finished)


def test_a_full_disk_is_one_line_and_loses_no_record(finished, tmp_path, numbers, complaint, monkeypatch):
    def full(*_: object):
        raise WriteError(cannot("write record.json", OSError(28, os.strerror(28))))

    shutil.copytree(finished / store.RUNS, tmp_path / store.RUNS)
    monkeypatch.setattr(store, "write", full)
    line = complaint(run.main, "--methods", "linear", "norm", *QUICK, "--results", str(tmp_path))
    assert "cannot write record.json: no space left on device" in line
    assert numbers(tmp_path) == numbers(finished)


@pytest.mark.parametrize(("number", "why"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_interrupted_run_leaves_a_trace_and_no_claim(number, why, tmp_path, capsys, monkeypatch):
    def interrupted(*_: object):
        signal.raise_signal(number)

    monkeypatch.setattr("benchmarks.training.run.run", interrupted)
    assert run.main(["--methods", "linear", *QUICK, "--results", str(tmp_path)]) == 128 + number
    assert "run the same command again" in capsys.readouterr().err
    (trace,) = (json.loads(path.read_text()) for path in (tmp_path / store.UNFINISHED).rglob("*.json"))
    assert (trace["status"], trace["reason"]) == ("interrupted", why)
    assert not list((tmp_path / store.UNFINISHED).rglob("*.claim"))


def test_everything_is_written_although_nobody_reads_the_tables(finished, tmp_path, monkeypatch):
    shutil.copytree(finished / store.RUNS, tmp_path / store.RUNS)
    read, write = os.pipe()
    os.close(read)  # as `| head` does
    with open(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert run.main(["--methods", "linear", *QUICK, "--results", str(tmp_path)]) == 0
        monkeypatch.undo()
    made = {path.name for path in tmp_path.iterdir()}
    assert {"leaderboard.md", "leaderboard.csv", "leaderboard.tex", "leaderboard.html", "runs.parquet"} <= made
