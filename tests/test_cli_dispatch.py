"""The console command hands its arguments to the module of the verb, and imports nothing heavy before that."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

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


def test_the_console_script_names_this_main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"peft-bench": "benchmarks.__main__:main"}
