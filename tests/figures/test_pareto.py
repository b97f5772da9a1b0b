"""The Pareto plot: its points, its frontier and its files."""

import itertools
import math
import statistics

import pytest
from scipy import stats

from benchmarks.figures import pareto
from benchmarks.tables.rows import comparable
from tests.support.made_records import ACCURACY, frame


def test_pareto_points_carry_the_95_percent_t_interval():
    (group,) = comparable(frame(ACCURACY))
    points = {point.name: point for point in pareto.points(group)}
    means = [100 * (a + b) / 2 for a, b in zip(ACCURACY["lora", "digits"], ACCURACY["lora", "count"], strict=True)]
    low, high = stats.t.interval(0.95, 2, loc=statistics.mean(means), scale=statistics.stdev(means) / math.sqrt(3))
    assert points["lora"].accuracy == pytest.approx(statistics.mean(means))
    assert points["lora"].error == pytest.approx((high - low) / 2)


def test_frontier_holds_exactly_the_points_that_none_beats():
    placed = {"a": (0, 50), "b": (10, 40), "c": (20, 60), "d": (20, 55), "e": (30, 60)}
    pairs = itertools.permutations(placed.items(), 2)
    beaten = {name for (name, own), (_, other) in pairs if other[0] <= own[0] and other[1] >= own[1]}
    frontier = pareto.frontier([pareto.Point(name, *place, 0.0) for name, place in placed.items()])
    assert {point.name for point in frontier} == set(placed) - beaten == {"a", "c"}


def test_plot_is_written_in_three_formats_and_its_svg_is_repeatable(tmp_path):
    paths = pareto.write(comparable(frame(ACCURACY)), tmp_path / "one")
    again = pareto.write(comparable(frame(ACCURACY)), tmp_path / "two")
    assert [path.name for path in paths] == ["pareto.png", "pareto.svg", "pareto.pdf"]
    assert paths[1].read_bytes() == again[1].read_bytes()


def test_a_plot_of_many_points_numbers_the_frontier_and_lists_its_names(tmp_path, monkeypatch):
    monkeypatch.setattr(pareto, "MOST_NAMED", 2)
    beaten = {("norm", "digits"): [0.1], ("norm", "count"): [0.1]}
    text = pareto.write(comparable(frame({**ACCURACY, **beaten})), tmp_path)[1].read_text()
    assert "1 linear" in " ".join(text.split()) and "2 lora" in " ".join(text.split())
    assert "norm" not in text
