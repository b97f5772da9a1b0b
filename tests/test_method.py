"""The verb method: the files of a new method, and a table of the promises that a method keeps or breaks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import methods
from benchmarks import method
from benchmarks.contract import starting, verdicts
from benchmarks.contract.promises import PROMISES
from tests.support.packages import installed

ROOT = Path(__file__).parents[1]
ENTRY = {"made": "peft_bench_made:Made"}
FEW = ("starts as the frozen backbone", "gives every weight a finite gradient")


@pytest.fixture
def few(monkeypatch):
    """Two promises on one family."""
    monkeypatch.setattr(verdicts, "PROMISES", {name: PROMISES[name] for name in FEW})
    monkeypatch.setattr(verdicts, "families", lambda name: ["image"])


def module(old="", new=""):
    """The module of a new method, with a change."""
    text = starting.rendered("made")["peft_bench_made.py"]
    assert old in text
    return {"peft_bench_made.py": text.replace(old, new)}


def test_a_new_method_is_the_example_of_the_documents():
    (section,) = re.findall(r"(?ms)^## Add a method$(.*?)^## ", (ROOT / "CONTRIBUTING.md").read_text())
    rendered = starting.rendered(starting.EXAMPLE)
    assert re.findall(r"(?s)```(?:python|toml)\n(.*?)```", section) == list(rendered.values())[:2]


def test_new_writes_a_module_a_package_and_a_test(tmp_path, capsys):
    assert method.main(["new", "my_lora", "-o", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"peft_bench_my_lora.py", "pyproject.toml", "test_my_lora.py"}
    assert 'my_lora = "peft_bench_my_lora:MyLora"' in (tmp_path / "pyproject.toml").read_text()
    assert "modulate" not in "".join(path.read_text().casefold() for path in tmp_path.iterdir())
    assert "next: then check it: python -m benchmarks.method check my_lora" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["My", "1st", "a-b", "a__b", "class", "lora", "../x", ""])
def test_a_name_that_cannot_be_is_one_line_and_nothing_is_written(name, tmp_path, complaint):
    assert complaint(method.main, "new", name, "-o", str(tmp_path)).startswith(f"method '{name}'")
    assert not list(tmp_path.iterdir())


def test_new_overwrites_nothing(tmp_path, complaint):
    (tmp_path / "pyproject.toml").write_text("mine")
    assert f"{tmp_path / 'pyproject.toml'}: already there" in complaint(method.main, "new", "made", "-o", str(tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_a_broken_promise_is_told_with_status_1(few, tmp_path, capsys):
    broken = module("x * self.scale + self.shift", "x * (self.scale + 1)")
    with installed(methods, tmp_path, ENTRY, broken):
        assert method.main(["check", "made"]) == 1
    out, err = capsys.readouterr()
    assert re.findall(r"│ (.*?) +│ (\w+) │", out) == [(name, "FAIL") for name in FEW]
    said = "identity_at_start is True, but the untrained output is not the frozen one"
    assert f"FAIL on ViT: made starts as the frozen backbone: {said}\n" in out
    shifts = ", ".join(f"method.modulations.{n}.shift" for n in range(3))
    assert f"gradients are not of what trains: not {shifts}\n" in out
    assert "made keeps 0 of 2 promises" in out and not err


def test_a_bug_in_a_method_is_told_with_its_traceback(few, tmp_path, capsys):
    with installed(methods, tmp_path, ENTRY, module("x * self.scale", "x * self.scales")):
        assert method.main(["check", "made"]) == 1
    out, err = capsys.readouterr()
    assert (
        "FAIL on ViT: made starts as the frozen backbone: AttributeError: 'Modulation' object has no attribute" in out
    )
    assert err.count("return x * self.scales + self.shift") == 1


def test_a_method_that_fits_no_family_is_one_line(few, complaint, capsys):
    assert complaint(method.main, "check", "lroa").startswith("unknown method 'lroa'; did you mean 'lora'?")
    assert method.main(["check", "adapterx", "--set", "heads=5"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("not checked on ViT, which the method refuses: adapterx: heads=5 must divide the token width")
    assert err.startswith("error: method 'adapterx' fits none of the small backbones; give options that fit with --set")


@pytest.mark.slow
def test_a_new_method_keeps_every_promise_and_its_test_passes(tmp_path, capsys):
    assert method.main(["new", "made", "-o", str(tmp_path)]) == 0
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with installed(methods, tmp_path, ENTRY, files):
        assert method.main(["check", "made"]) == 0
    assert re.search(r"made keeps (\d+) of \1 promises\n", capsys.readouterr().out)
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "pytest", "-q", str(tmp_path / "test_made.py"), "--rootdir", str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
