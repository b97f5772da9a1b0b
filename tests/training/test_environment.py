"""What a record says about its code and its processor."""

import json
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __version__
from benchmarks.training.environment import device_name, environment, processor

ROOT = Path(__file__).parents[2]
MODULE = Path("benchmarks", "training", "provenance.py")
SOURCES = ("benchmarks", "methods", "pyproject.toml", "setup.py", "README.md", "LICENSE")
CPU = "processor\t: {}\nvendor_id\t: x\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: {}\nflags\t\t: fpu sse2\n\n"
SEE = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['provenance']()))"


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=A", "-c", "user.email=a@example.com", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def committed(folder: Path) -> str:
    """Make a repository of a folder with one commit, and return the commit."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "All")
    return git(folder, "rev-parse", "HEAD")


def seen(package: Path) -> dict[str, Any]:
    """What the module says in a process of its own, as it stands in this folder."""
    command = [sys.executable, "-c", SEE, str(package / MODULE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder ``outer/inner`` with the module."""
    package = tmp_path / "outer" / "inner"
    (package / MODULE).parent.mkdir(parents=True)
    shutil.copy(ROOT / MODULE, package / MODULE)
    return package


def test_a_checkout_has_its_own_commit_and_says_if_files_differ(package, monkeypatch):
    commit = committed(package)
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))  # as in a hook of another repository
    assert seen(package) == {"commit": commit, "dirty": False}
    with (package / MODULE).open("a") as file:
        file.write("# changed\n")
    assert seen(package) == {"commit": commit, "dirty": True}


def test_the_commit_of_a_repository_around_the_package_is_not_taken(package):
    unknown = {"commit": "unknown", "dirty": None}
    assert seen(package) == unknown
    committed(package.parent)
    assert seen(package) == unknown


def test_without_git_the_commit_is_unknown(package, monkeypatch):
    committed(package)
    monkeypatch.setenv("PATH", "")
    assert seen(package) == {"commit": "unknown", "dirty": None}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_the_commit_of_this_run_is_that_of_this_checkout():
    assert environment()["commit"] == git(ROOT, "rev-parse", "HEAD")


def test_the_cpu_is_named_by_model_and_instruction_set():
    assert processor(CPU.format(0, "AMD EPYC") + CPU.format(1, "other")) == "AMD EPYC (family 25, model 17)"
    assert processor("model name : Neoverse-V1\n") == "Neoverse-V1"
    assert processor("CPU part : 0xd40\n") == (platform.processor() or platform.machine()) != ""
    capability = torch.backends.cpu.get_cpu_capability()
    assert device_name(torch.device("cpu")).endswith(f", {capability}") and capability


def build(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel or a source distribution of a folder with setuptools, without an installer and a network."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(out)]
    done = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    return out / done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_wheels_carry_their_commit_and_the_readmes(tmp_path):
    source, outer = tmp_path / "source", tmp_path / "outer"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    code = {"commit": committed(source), "dirty": False}

    outer.mkdir()
    with tarfile.open(build("sdist", source, tmp_path)) as archive:
        archive.extractall(outer, filter="data")
    committed(outer)
    unpacked = outer / f"peft_vision_bench-{__version__}"
    for wheel in (build("wheel", source, tmp_path), build("wheel", unpacked, outer)):
        installed = wheel.parent / "installed"
        zipfile.ZipFile(wheel).extractall(installed)
        assert seen(installed) == code
        assert {path.relative_to(installed) for path in installed.rglob("README.md")} == {
            path.relative_to(ROOT)
            for folder in ("benchmarks", "methods")
            for path in (ROOT / folder).rglob("README.md")
        }
    shown = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--version"], cwd=installed, capture_output=True, text=True
    )
    assert shown.stdout == f"peft-vision-bench {__version__}, commit {code['commit']}\n"
