"""Every verb: its help, its examples, what it imports, and how it ends."""

import os
import shlex
import signal
import subprocess
import sys
import time
import tomllib
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import pytest

from benchmarks import __main__ as console
from benchmarks.cli import command_parser, guarded
from methods.errors import UserError

ROOT = Path(__file__).parents[1]
HEAVY = {"h5py", "matplotlib", "mlflow", "numpy", "optuna", "pandas", "plotly", "rich", "sklearn", "timm", "torch"}
EACH = pytest.mark.parametrize("verb", sorted(console.available()))
KEPT = "Finished runs are kept; run the same command again to continue."


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
        ("os.kill(os.getpid(), 2)", (130, "", f"error: interrupted. {KEPT}\n")),
        ("os.kill(os.getpid(), 15)", (143, "", f"error: ended by SIGTERM. {KEPT}\n")),
        ("os.kill(os.getpid(), 1)", (129, "", f"error: ended by SIGHUP. {KEPT}\n")),
    ],
    ids=["output and exit handlers", "no stdout", "a person's mistake", "Ctrl-C", "SIGTERM", "SIGHUP"],
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


def test_ctrl_c_that_a_library_turns_into_its_own_error_is_one_line(capsys):
    @guarded
    def verb(argv: Sequence[str] | None = None) -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("numpy cannot be imported") from None
        return 0

    assert verb([]) == 130
    assert capsys.readouterr().err == f"error: interrupted. {KEPT}\n"


class Thing:
    pass


class Deleted:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("free", [Deleted, lambda: weakref.finalize(Thing(), signal.raise_signal, signal.SIGINT)])
def test_ctrl_c_while_an_object_is_freed_is_not_lost(free, capsys):
    @guarded
    def verb(argv: Sequence[str] | None = None) -> int:
        free()
        time.sleep(5)
        return 0

    assert verb([]) == 130
    assert capsys.readouterr().err == f"error: interrupted. {KEPT}\n"


def test_signals_keep_what_they_meant_before_a_command(capsys):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        handlers: list[object] = []

        @guarded
        def verb(argv: Sequence[str] | None = None) -> int:
            handlers.extend([signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM)])
            return 0

        outer = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert verb([]) == 0
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == outer
        assert handlers[0] is signal.SIG_IGN
        assert handlers[1] not in outer
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_option_is_given_once_and_numbers_are_decimal():
    parser = command_parser("x", "x", {})
    parser.add_argument("--n", type=int, nargs="+")
    parser.add_argument("--x", type=float)
    given = parser.parse_args(["--n", "1", "-2", "--x", "1e-3"])
    assert (given.n, given.x) == ([1, -2], 0.001)
    for words in (
        ["--n", "1", "--n", "1"],
        ["--n", "01"],
        ["--n", "1_0"],
        ["--n", "\u0661"],
        ["--x", "inf"],
        ["--x", "1_0"],
    ):
        with pytest.raises(UserError):
            parser.parse_args(words)
