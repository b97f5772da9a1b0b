"""Disturbed sweeps: finished runs stay, the others fail with a message or are done, and the numbers never change.

PEFT_BENCH_RUNS is the number of tiny runs that two drivers share (default: 20).
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pytest import TempPathFactory

from benchmarks.records import store
from tests.executors.conftest import Numbers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SWEEP = ["--methods", "linear", "norm", "--tasks", "digits", "--recipe", "epochs=1", "warmup_epochs=0"]
COMMAND = [sys.executable, "-m", "benchmarks.run"]
ALONE = ["--workers", "1", "--results"]
RUNS = int(os.environ.get("PEFT_BENCH_RUNS", "20"))
JUMPY = """
import random, sys, time
real = time.time
time.time = lambda: real() + random.choice([-86_400, 0, 86_400])
from benchmarks import run
sys.exit(run.main(sys.argv[1:]))
"""
LIMITED = """
import re, resource, sys
import torch
from pathlib import Path
from benchmarks import run
from benchmarks.sweeps import plan, sweep
data_kib = int(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
resource.setrlimit(resource.RLIMIT_DATA, (data_kib * 1024 + {spare}, resource.RLIM_INFINITY))
if __name__ == "__main__":
    sys.exit(run.main(sys.argv[1:]))
"""


def execute(command: Sequence[str], folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    path = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | path)


def at_once(*commands: Sequence[str]) -> int:
    """Start drivers at the same time; return how many runs they trained together."""
    drivers = [
        subprocess.Popen(c, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for c in commands
    ]
    outputs = [process.communicate() for process in drivers]
    assert [process.returncode for process in drivers] == [0] * len(drivers), outputs
    return sum(int(re.findall(r"(\d+) trained", out)[0]) for out, _ in outputs)


def left(results: Path) -> list[Path]:
    """Files of unfinished runs: claims, traces, stages."""
    return [path for path in (results / store.UNFINISHED).rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: TempPathFactory, numbers: Numbers) -> Path:
    """The results of a single undisturbed driver."""
    results = tmp_path_factory.mktemp("alone")
    assert execute([*COMMAND, *SWEEP, *ALONE, str(results)]).returncode == 0
    assert len(numbers(results)) == 2
    return results


@pytest.mark.parametrize("clock", [COMMAND, [sys.executable, "-c", JUMPY]], ids=["steady", "jumping"])
def test_two_drivers_at_once_do_every_run_once(clock, alone, tmp_path, same):
    assert at_once(*[[*clock, *SWEEP, *ALONE, str(tmp_path)]] * 2) == 2
    assert same(tmp_path, alone)
    assert left(tmp_path) == []
    assert all(0 < record["cost"]["train_seconds"] < 3600 for record in store.records(tmp_path))


def test_two_drivers_do_each_of_many_tiny_runs_once(tmp_path, numbers, same):
    from PIL import Image

    for split, label, value in ((s, c, v) for s in ("train", "test") for c in "ab" for v in range(8)):
        place = tmp_path / "tiny" / split / label
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (value, 99 if label == "a" else 0, 0)).save(place / f"{value}.png")
    argv = ["--suite", "folder", "--data-root", str(tmp_path / "tiny"), "--methods", "linear"]
    argv += ["--seeds", *map(str, range(RUNS)), "--recipe", "epochs=1", "warmup_epochs=0"]
    drivers = [[*COMMAND, *argv, *ALONE, str(tmp_path / "both")] for _ in range(2)]
    assert at_once(*drivers) == RUNS
    assert left(tmp_path / "both") == []
    one = execute([*COMMAND, *argv, "--workers", "2", "--results", str(tmp_path / "one")])
    assert f"{RUNS} trained" in one.stdout
    assert len(numbers(tmp_path / "one")) == RUNS
    assert same(tmp_path / "both", tmp_path / "one")


def test_a_run_that_lacks_memory_fails_and_is_done_when_there_is_more(tmp_path, numbers, same):
    # the prompts and a batch of all samples take 1.6 GiB, the rest less than a third of that
    argv = ["--methods", "linear", "vpt_deep", "--set", "vpt_deep.prompts=100", "--tasks", "digits", "--workers", "2"]
    argv += ["--recipe", "epochs=1", "warmup_epochs=0", "batch_size=200", "--results"]
    script = tmp_path / "limited.py"
    script.write_text(LIMITED.format(spare=700 << 20))
    limited = execute([sys.executable, str(script), *argv, str(tmp_path / "limited")])
    assert limited.returncode == 1, limited
    assert "2 runs: 1 trained, 0 already finished, 1 failed" in limited.stdout
    assert re.search("failed: vpt_deep on digits.*memory", limited.stdout)
    kept = numbers(tmp_path / "limited")
    assert execute([*COMMAND, *argv, str(tmp_path / "limited")]).returncode == 0
    assert execute([*COMMAND, *argv, str(tmp_path / "alone")]).returncode == 0
    assert kept.items() <= numbers(tmp_path / "limited").items()
    assert same(tmp_path / "limited", tmp_path / "alone")


MOUNT = ["unshare", "--map-root-user", "--mount", "sh", "-c"]


def on_a_disk(options: str, tmp_path: Path, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose folder "disk" is a separate file system; copy its files to "kept" afterwards."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "kept").mkdir()
    script = f'mount -t tmpfs -o {options} none disk && {{ "$@"; s=$?; cp -r disk/. kept/; exit $s; }}'
    try:
        probe = execute([*MOUNT, "mount -t tmpfs none disk"], tmp_path)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if probe.returncode:
        pytest.skip(f"may not mount a disk here: {probe.stderr.strip()}")
    return execute([*MOUNT, script, "sh", *command], tmp_path)


def test_a_full_disk_ends_the_sweep_with_one_line_and_keeps_finished_runs(alone, tmp_path, numbers, same):
    page = os.sysconf("SC_PAGE_SIZE")
    pages = [-(-path.stat().st_size // page) for path in alone.rglob("linear*") if path.is_file()]
    spare = 5  # for temporary files; the files of the next run need more
    result = on_a_disk(f"size={page * (sum(pages) + spare)}", tmp_path, [*COMMAND, *SWEEP, *ALONE, "disk"])
    assert result.returncode == 2, result
    assert result.stderr.count("\n") == 1
    assert os.strerror(28).lower() in result.stderr
    kept = numbers(tmp_path / "kept")
    assert len(kept) == 1
    assert kept.items() <= numbers(alone).items()
    assert execute([*COMMAND, *SWEEP, *ALONE, str(tmp_path / "kept")]).returncode == 0
    assert same(tmp_path / "kept", alone)


def test_a_read_only_results_folder_is_one_line(tmp_path):
    result = on_a_disk("ro", tmp_path, [*COMMAND, *SWEEP, *ALONE, "disk"])
    assert result.returncode == 2
    assert result.stderr == f"error: cannot use results folder disk: {os.strerror(30)}; give another with --results\n"


@pytest.mark.parametrize(("threads", "switch"), [("0", "-O"), ("abc", "-OO")])
def test_an_odd_number_of_threads_and_python_without_asserts_change_nothing(
    threads, switch, alone, tmp_path, numbers, monkeypatch
):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    result = execute([sys.executable, switch, *COMMAND[1:], *SWEEP, "--workers", "2", "--results", str(tmp_path)])
    assert result.returncode == 0, result
    assert numbers(tmp_path).keys() == numbers(alone).keys()
