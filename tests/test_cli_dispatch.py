"""The console command hands its arguments to the module of the verb, and imports nothing heavy before that."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import IO

import pytest

from benchmarks import __main__ as console

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_help_shows_every_verb_that_exists_on_a_line(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(argv) == 0
    shown = capsys.readouterr().out
    folder = ROOT / "benchmarks"
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__main__.py")}
    assert {line.split()[0] for line in shown.splitlines() if line.startswith("  ")} == modules & set(console.VERBS)


@pytest.mark.parametrize("verb", sorted(console.available()))
def test_every_verb_has_a_main(verb: str) -> None:
    assert callable(import_module(f"benchmarks.{verb}").main)


def test_a_verb_gets_the_arguments_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def record(argv: list[str]) -> int:
        seen.append(argv)
        return 7

    monkeypatch.setattr("benchmarks.run.main", record)
    assert console.main(["run", "--methods", "lora"]) == 7
    monkeypatch.setattr(sys, "argv", ["peft-bench", "run", "--list"])
    assert console.main() == 7
    assert seen == [["--methods", "lora"], ["--list"]]


def test_an_unknown_verb_is_one_line_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["rnu", "--methods", "lora"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: unknown verb 'rnu'; did you mean 'run'? known: ")
    assert err.count("\n") == 1


def test_help_imports_no_heavy_package() -> None:
    heavy = {"h5py", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "rich", "timm", "torch"}
    code = f"import sys; from benchmarks.__main__ import main; main([]); sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_console_script_names_this_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"peft-bench": "benchmarks.__main__:command"}
    assert callable(console.command)


def ended(body: str, folder: Path, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """A verb of such a body, run as a program; guarded twice, as by the console command."""
    file = folder / "verb.py"
    verb = f"@guarded\n@guarded\ndef main(argv):\n {body}\nif __name__ == '__main__':\n program(main)\n"
    file.write_text(f"import atexit, os, sys\nfrom benchmarks.cli import guarded, program\n{verb}")
    pipe, path = subprocess.PIPE, {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, str(file)], env=os.environ | path, stdout=stdout, stderr=pipe, text=True, timeout=60
    )


def test_a_verb_ends_with_its_status_all_its_words_and_what_is_to_be_done_at_exit(tmp_path: Path) -> None:
    done = ended("print('x' * 100_000); atexit.register(print, 'done'); return 7", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (7, "x" * 100_000 + "\ndone\n", "")


def test_a_verb_does_not_take_its_imports_apart(tmp_path: Path) -> None:
    class_ = "type('Late', (), {'__del__': lambda self: os.write(2, b'taken apart')})()"
    assert ended(f"global late; late = {class_}; return 0", tmp_path).stderr == ""


def test_a_verb_ends_the_processes_that_it_has_begun(tmp_path: Path) -> None:
    pool = "from concurrent.futures import ProcessPoolExecutor as Pool; print(Pool(1).submit(len, 'four').result())"
    done = ended(f"{pool}; raise ValueError('said')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "4\n", "error: said\n")


def test_a_verb_without_a_stdout_has_its_status(tmp_path: Path) -> None:
    assert ended("sys.stdout = None; print('x'); return 7", tmp_path).returncode == 7


@pytest.mark.parametrize("verb", sorted(console.available()))
def test_before_a_verb_is_run_torch_is_not_imported_and_nothing_is_registered_to_be_done_at_exit(verb: str) -> None:
    module = "benchmarks.tracking.__main__" if verb == "tracking" else f"benchmarks.{verb}"
    code = f"import atexit, sys, {module}; print(atexit._ncallbacks(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "0 False\n"


def test_a_reader_that_has_seen_enough_is_no_fault(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        done = ended("print('table'); return 0", tmp_path, closed)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_words_that_do_not_fit_on_the_disk_are_one_line_and_status_2(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = ended("print('table'); return 0", tmp_path, full)
    assert done.returncode == 2
    assert done.stderr == "error: cannot use file: No space left on device; mend that and repeat the command\n"
