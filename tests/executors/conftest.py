"""Fixtures that the tests of the executors share."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.executors import local
from benchmarks.executors.attempt import Outcome
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import logits, store
from benchmarks.records.spec import Spec

Numbers = Callable[[Path], dict[str, object]]
Same = Callable[[Path, Path], bool]
InProcess = Callable[[list[Spec], Path], Path]


@pytest.fixture(scope="session")
def tables() -> Callable[[Path], str]:
    """Return the tables of a leaderboard, except the tables of costs."""

    def read(results: Path) -> str:
        found, heading, _ = (results / "leaderboard.md").read_text().partition(": what runs cost")
        assert heading
        return found

    return read


@pytest.fixture(scope="session")
def same(numbers: Numbers, tables: Callable[[Path], str]) -> Same:
    """Whether two results folders have the same numbers and tables."""
    return lambda first, second: (numbers(first), tables(first)) == (numbers(second), tables(second))


@pytest.fixture(scope="session")
def same_files(numbers: Numbers) -> Same:
    """Whether two results folders have the same numbers, and the same task files and logits to the byte."""

    def read(results: Path) -> dict[Path, bytes]:
        files = [*(results / store.ADAPTERS).rglob("*.safetensors"), *(results / logits.FOLDER).rglob("*.npz")]
        return {path.relative_to(results): path.read_bytes() for path in files}

    return lambda first, second: (numbers(first), read(first)) == (numbers(second), read(second))


@pytest.fixture
def in_process(one_thread: None) -> InProcess:
    """Execute runs one after the other in this process, with one thread; return the results folder."""

    def execute(todo: list[Spec], results: Path) -> Path:
        place = Place(executor="local", device=torch.device("cpu"), workers=1)
        assert local.in_process(todo, results, place, Listeners(), again=False, fail_fast=False) == Outcome()
        return results

    return execute
