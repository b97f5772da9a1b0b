"""Fixtures that the tests of the executors share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks.executors import local
from benchmarks.executors.attempt import Outcome
from benchmarks.records.spec import Spec


@pytest.fixture(scope="session")
def tables() -> Callable[[Path], str]:
    """Return the tables of a leaderboard, except the tables of costs."""

    def read(results: Path) -> str:
        found, heading, _ = (results / "leaderboard.md").read_text().partition(": what runs cost")
        assert heading
        return found

    return read


@pytest.fixture
def in_process(one_thread: None) -> Callable[[list[Spec], Path], Path]:
    """Execute runs one after the other in this process, with one thread; return the results folder."""

    def execute(todo: list[Spec], results: Path) -> Path:
        quiet = {"on_epoch": lambda spec, epoch: None, "on_end": lambda spec: None}
        found = local.in_process(todo, results, torch.device("cpu"), again=False, fail_fast=False, **quiet)  # type: ignore[arg-type]
        assert found == Outcome()
        return results

    return execute
