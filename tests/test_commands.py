"""Every verb: its help, its examples, what it imports, and how it ends."""

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from benchmarks import __main__ as console
from benchmarks.cli import guarded

ROOT = Path(__file__).parents[1]
HEAVY = {"h5py", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "plotly", "rich", "sklearn", "timm", "torch"}
EACH = pytest.mark.parametrize("verb", sorted(console.available()))


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_help_shows_every_verb_that_exists(argv, capsys):
    assert console.main(argv) == 0
    shown = capsys.readouterr().out
    folder = ROOT / "benchmarks"
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__main__.py")}
    verbs = {verb for group in console.VERBS.values() for verb in group}
    assert {line.split()[0] for line in shown.splitlines() if line.startswith("  ")} == modules & verbs


@EACH
def test_examples_in_the_help_are_valid(verb):
    parser = console.module(verb).parser()
    lines = [line.strip() for line in parser.epilog.splitlines()]
    examples = [shlex.split(line.removeprefix(parser.prog)) for line in lines if line.startswith("python")]
    assert 1 <= len(examples) <= 4
    for words in examples:
        parser.parse_args(words)


@EACH
def test_help_imports_no_heavy_package(verb):
    module = "benchmarks.tracking.__main__" if verb == "tracking" else f"benchmarks.{verb}"
    code = f"""
import contextlib, sys, {module} as verb
with contextlib.suppress(SystemExit):
    verb.main(["--help"])
print("imported:", *({HEAVY} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith(f"usage: python -m benchmarks.{verb} ")
    assert done.stdout.splitlines()[-1] == "imported:"


def test_a_verb_gets_the_arguments_after_it(monkeypatch):
    seen: list[list[str]] = []
    monkeypatch.setattr("benchmarks.run.main", lambda argv: seen.append(argv) or 7)
    assert console.main(["run", "--methods", "lora"]) == 7
    monkeypatch.setattr(sys, "argv", ["peft-bench", "run", "--list"])
    assert console.main() == 7
    assert seen == [["--methods", "lora"], ["--list"]]


def test_an_unknown_verb_is_one_line_with_the_nearest(complaint):
    line = complaint(console.main, "rnu", "--methods", "lora")
    assert line.startswith("unknown verb 'rnu'; did you mean 'run'? known: ")


def test_the_list_of_verbs_imports_no_heavy_package():
    code = f"import sys; from benchmarks.__main__ import main; main([]); sys.exit(bool({HEAVY} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_the_console_script_names_this_command():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"peft-bench": f"{console.__name__}:{console.main.__name__}"}


def ended(body: str, folder: Path, stdout: int | IO[str] = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a verb with this body as a program. It is guarded twice, as under ``peft-bench``."""
    file = folder / "verb.py"
    verb = f"@guarded\n@guarded\ndef main(argv=None):\n {body}\nif __name__ == '__main__':\n sys.exit(main())\n"
    imports = "import atexit, os, sys\nfrom benchmarks.cli import guarded\nfrom methods.errors import UserError"
    file.write_text(f"{imports}\n{verb}")
    pipe, path = subprocess.PIPE, {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, str(file)], env=os.environ | path, stdout=stdout, stderr=pipe, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("print('x' * 100_000); atexit.register(print, 'done'); return 7", (7, "x" * 100_000 + "\ndone\n", "")),
        ("sys.stdout = None; print('x'); return 7", (7, "", "")),
        ("raise UserError('say\\nit')", (2, "", "error: say it\n")),
    ],
    ids=["output and exit handlers", "no stdout", "a person's mistake"],
)
def test_a_verb_ends_with_its_status_and_all_its_output(body, ending, tmp_path):
    done = ended(body, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == ending


@pytest.mark.parametrize(
    "error", ["RuntimeError('nan')", "ValueError('shapes differ')", "KeyError('x')", "OSError(2, 'gone', '/etc/none')"]
)
def test_a_bug_keeps_its_traceback(error, tmp_path):
    done = ended(f"raise {error}", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback (most recent call last)" in done.stderr
    assert f"raise {error}" in done.stderr


@EACH
def test_a_bug_in_a_verb_is_raised(verb, monkeypatch):
    module = console.module(verb)
    monkeypatch.setattr(module, "parser", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        module.main([])


@pytest.mark.parametrize("form", ["{path}", "--out={path}"])
def test_a_given_path_that_cannot_be_opened_is_one_line(form, tmp_path, complaint):
    @guarded
    def verb(argv: Sequence[str] | None = None) -> int:
        return len((tmp_path / "given" / "file").read_bytes())

    line = complaint(verb, form.format(path=tmp_path / "given"))
    reason = "no such file or directory. Correct that and run the command again."
    assert line == f"cannot use {tmp_path / 'given' / 'file'}: {reason}"


@pytest.mark.parametrize(
    ("verb", "argv", "part"),
    [
        ("pretrain", ["vit_nano", "--threads", "-2"], "--threads -2 must be at least 1"),
        ("pretrain", ["vit_nano", "--seed", "-1"], "--seed -1 must be at least 0"),
        ("pretrain", ["vit_nano", "--device", "tpu"], "unknown device 'tpu'; known: auto, cpu, cuda, cuda:N"),
        ("pretrain", ["vit_nano", "--lr", "nan"], "0 < lr < 1"),
        ("pretrain", ["vit_nano", "--lr", "-1"], "0 < lr < 1"),
        ("pretrain", ["vit_nano", "--samples", "0"], "two or more steps"),
        ("pretrain", ["vit_nano", "--batch-size", "1"], "two or more samples"),
        ("tune", ["--grace-seconds", "1"], "--grace-seconds 1 must be at least 4"),
        ("catalog", ["--out", "/proc/x/methods.md"], "cannot write /proc/x/methods.md: no such file or directory"),
    ],
)
def test_wrong_values_are_one_line(verb, argv, part, complaint):
    assert part in complaint(console.module(verb).main, *argv)


def test_a_closed_pipe_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    with open(write, "w") as closed:
        done = ended("print('table'); return 0", tmp_path, closed)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_on_a_full_disk_is_one_line_and_status_2(tmp_path):
    with open("/dev/full", "w") as full:
        done = ended("print('table'); return 0", tmp_path, full)
    line = "error: cannot write the output: no space left on device. Free some space and run the command again.\n"
    assert (done.returncode, done.stderr) == (2, line)
