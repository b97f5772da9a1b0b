"""The critical-difference diagram: its ranks, when it is drawn, and its files."""

import math

import pytest

from benchmarks import ranks as command
from benchmarks.figures import ranks
from benchmarks.tables.rows import comparable
from tests.support.made_records import ACCURACY, frame

THREE = {**ACCURACY, ("norm", "digits"): [0.95, 0.80, 0.81], ("norm", "count"): [0.40, 0.41, 0.57]}


def test_ranks_are_over_task_and_seed_and_the_critical_difference_over_tasks():
    (panel,) = ranks.panels(comparable(frame(THREE)))
    # norm is first once, shares the first rank once, and is second four times
    assert dict(panel.ranks) == pytest.approx(
        {"lora": (5 - 1 + 2 + 1.5) / 6, "norm": (1 + 1.5 + 4 * 2) / 6, "linear": 3}
    )
    assert list(panel.ranks) == sorted(panel.ranks)
    assert (panel.tasks, panel.seeds) == (2, 3)
    assert panel.critical == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 2)), rel=1e-3)
    assert panel.critical_blocks == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 6)), rel=1e-3)


@pytest.mark.parametrize(
    "runs",
    [
        ACCURACY,  # two methods
        {key: values for key, values in THREE.items() if key[1] == "digits"},  # one task
        {key: values for key, values in THREE.items() if key != ("norm", "count")},  # two methods with both tasks
    ],
)
def test_too_few_methods_or_tasks_make_no_diagram(runs, tmp_path):
    assert ranks.write(comparable(frame(runs)), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_diagram_is_written_in_three_formats_with_every_method(tmp_path):
    paths = ranks.write(comparable(frame(THREE)), tmp_path)
    assert [path.name for path in paths] == ["ranks.png", "ranks.svg", "ranks.pdf"]
    (panel,) = ranks.panels(comparable(frame(THREE)))
    text = " ".join(paths[1].read_text().split())
    for row, rank in panel.ranks.items():
        assert f"<!-- {row} {rank:.1f} -->" in text or f"<!-- {rank:.1f} {row} -->" in text


def test_of_many_methods_the_best_are_drawn_with_their_rank_among_all(tmp_path, monkeypatch):
    monkeypatch.setattr(ranks, "MOST_NAMED", 2)
    monkeypatch.setattr(ranks, "BEST", 2)
    groups = comparable(frame(THREE))
    (panel,) = ranks.panels(groups)
    text = " ".join(ranks.write(groups, tmp_path)[1].read_text().split())
    drawn, left = list(panel.ranks.items())[:2], str(panel.ranks.index[2])
    assert all(f"{row} {rank:.1f}" in text or f"{rank:.1f} {row}" in text for row, rank in drawn)
    assert f"<!-- {left}" not in text and f" {left} -->" not in text
    assert "the best 2 of 3; mean rank" in text and f"critical difference {panel.critical:.1f}" in text
    assert "longer than the axis: no two of these 2 methods differ significantly" in text


def test_the_command_without_a_diagram_ends_with_one_line(tmp_path, complaint, monkeypatch):
    monkeypatch.setattr("benchmarks.tables.reader.load", lambda results, suite, shared: frame(ACCURACY))
    assert complaint(command.main, "--results", str(tmp_path)).startswith("no set of comparable runs")
