"""A second process gives what the first would have made, hands over its errors, and ends with the block."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from test_leaderboard import ACCURACY, frame

from benchmarks import drawing, reader, tables
from benchmarks.beside import beside


def test_a_function_runs_in_another_process_while_this_one_goes_on() -> None:
    with beside(os.getpid) as other:
        own = os.getpid()
        assert other() != own


def test_an_error_of_the_function_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal for int"), beside(int, "x") as number:
        number()


def test_a_process_that_dies_is_told_with_its_status() -> None:
    with pytest.raises(RuntimeError, match="ended with status 3"), beside(os._exit, 3) as never:
        never()


def test_the_second_process_ends_when_the_first_has_an_error() -> None:
    start = time.monotonic()
    with pytest.raises(KeyError), beside(time.sleep, 600):
        raise KeyError
    assert time.monotonic() - start < 60


def test_figures_are_the_same_from_either_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = tables.comparable(frame(ACCURACY))
    made = {}
    for many in (1, 1000):
        monkeypatch.setattr(reader, "MANY", many)
        with drawing.begun(groups, tmp_path / str(many)) as drawn:
            made[many] = {path.name: path.read_bytes() for path in drawn()}
    assert made[1] == made[1000]
    assert set(made[1]) == {"pareto.png", "pareto.svg", "pareto.pdf"}
