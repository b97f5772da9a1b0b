"""The figures of a leaderboard are the same whichever process draws them."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_leaderboard import ACCURACY, frame

from benchmarks import drawing, second, tables


def test_figures_are_the_same_from_either_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = tables.comparable(frame(ACCURACY))
    made = {}
    for many in (1, 1000):
        monkeypatch.setattr(second, "MANY", many)
        drawn = drawing.begin(groups, tmp_path / str(many))
        made[many] = {path.name: path.read_bytes() for path in drawn()}
    assert made[1] == made[1000]
    assert set(made[1]) == {"pareto.png", "pareto.svg", "pareto.pdf"}
