"""Fixtures that many tests share. No test tracks its runs or sees a cache of earlier runs, unless it asks for that."""

import gc
import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks import suites
from benchmarks.cli import Main
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from tests.support import quick_suite

_cache = tempfile.TemporaryDirectory(prefix="peft-vision-bench-")  # removed when this process ends
os.environ["MLFLOW_TRACKING_URI"] = "off"
os.environ["PEFT_BENCH_CACHE"] = _cache.name

ROOT = Path(__file__).parents[1]
State = Mapping[str, Tensor]
Complaint = Callable[..., str]
Specs = Callable[..., list[Spec]]


def pytest_collection_finish() -> None:
    """Garbage collection leaves out modules and tests, which live to the end: they cost a tenth of the time."""
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the repository."""
    return ROOT


@pytest.fixture
def complaint(capsys: pytest.CaptureFixture[str]) -> Complaint:
    """Run a command that must end with status 2 and one line on stderr; the line, without "error: "."""

    def told(main: Main, *argv: str) -> str:
        status = main(list(argv))
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert (status, out, len(lines), err[:7]) == (2, "", 1, "error: "), (status, out, err)
        return lines[0].removeprefix("error: ")

    return told


@pytest.fixture
def no_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods are wired without the forward pass that checks their hooks. The contract tests make these passes."""
    monkeypatch.setattr("methods.calls.check_called", lambda *given: None)


@pytest.fixture(scope="session")
def numbers() -> Callable[[Path], dict[str, object]]:
    """By key, what two executions of one spec must have in common: everything but times and the environment."""
    return lambda results: {r["key"]: (r["accuracy"], r["history"], r["params"]) for r in store.records(results)}


@pytest.fixture(scope="session")
def specs() -> Specs:
    """Specs of short runs of some methods on ``digits``; keywords are other fields of a Sweep."""

    def made(*methods: str, **changes: Any) -> list[Spec]:
        recipe = {"epochs": 1, "warmup_epochs": 0, **changes.pop("recipe", {})}
        asked = {"methods": methods, "tasks": ("digits",), "recipe": recipe, **changes}
        return sweep.specs(sweep.Sweep(**asked), "float32")

    return made


@pytest.fixture(scope="session")
def same_state() -> Callable[[State, State], bool]:
    """Whether two state dicts have the same names and equal bits."""
    return lambda first, second: first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.fixture(scope="module")
def small_suite() -> Iterator[str]:
    """The name of the suite of the committed short runs, which is known while the tests of a module run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suites, "SUITES", suites.SUITES | quick_suite.ENTRY)
        yield "quick"


@pytest.fixture
def limited() -> Callable[[int], AbstractContextManager[None]]:
    """A block in which no file can grow beyond a number of bytes, as on a full disk; nobody has to be root for it."""

    @contextmanager
    def block(most: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return block


@pytest.fixture
def one_thread() -> Iterator[None]:
    """One torch thread during a test: small products are faster, and sums do not depend on the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
