"""The Pareto plot: its points, its frontier and its files."""

import itertools
import math
import statistics

import matplotlib.pyplot as plt
import pytest
from matplotlib.path import Path
from matplotlib.text import Text
from scipy import stats

from benchmarks import pareto as command
from benchmarks.figures import drawing, pareto
from benchmarks.tables import reader
from benchmarks.tables.headings import heading
from benchmarks.tables.intervals import means
from benchmarks.tables.rows import comparable, in_figures
from tests.support.made_records import ACCURACY, frame


def test_pareto_points_carry_the_95_percent_t_interval_of_five_seeds_and_none_of_fewer():
    accuracies = {"digits": [0.5, 0.6, 0.4, 0.7, 0.6], "count": [0.3, 0.3, 0.2, 0.4, 0.5]}

    def point(seeds):
        (group,) = comparable(frame({("lora", task): own[:seeds] for task, own in accuracies.items()}))
        (made,) = pareto.points(group)
        return made

    means = [100 * (a + b) / 2 for a, b in zip(*accuracies.values(), strict=True)]
    low, high = stats.t.interval(0.95, 4, loc=statistics.mean(means), scale=statistics.stdev(means) / math.sqrt(5))
    assert point(5).accuracy == pytest.approx(statistics.mean(means))
    assert point(5).error == pytest.approx((high - low) / 2)
    assert (point(4).error, point(2).error) == (0, 0)


@pytest.fixture
def axis(tmp_path, monkeypatch):
    """Draw made-up accuracies of seed 0 by method on digits; the axis of the plot."""

    def draw(highlight="adapterx", **accuracies):
        drawn = []
        monkeypatch.setattr(drawing, "write", lambda figure, name, out: drawn.extend(figure.axes) or [])
        pareto.write(
            comparable(frame({(name, "digits"): [value] for name, value in accuracies.items()})), tmp_path, highlight
        )
        return drawn[0]

    yield draw
    plt.close("all")


def test_an_accuracy_below_the_axis_lies_on_its_line_with_its_number(axis):
    drawn = axis(lora=0.95, norm=0.95, linear=0.25)
    low, high = drawn.get_ylim()
    places = [(line.get_marker(), *line.get_xydata()[0]) for line in drawn.lines if len(line.get_xydata()) == 1]
    assert sorted(y for *_, y in places if y == 95) == [95, 95]
    (clipped,) = [(marker, y) for marker, _, y in places if y != 95 and marker == pareto.BELOW]
    assert clipped == (pareto.BELOW, low) and 90 < low < 95 < high
    assert "linear 25.0" in {text.get_text() for text in drawn.texts}
    (steps,) = [line.get_xydata() for line in drawn.lines if line.get_linestyle() == "--"]
    assert [y for _, y in steps] == [25, 95, 95]  # the frontier has the accuracies as they are


@pytest.mark.parametrize("accuracies", [(0.95, 0.95, 0.25), (0.5, 0.5, 0.5), (1.0, 1.0, 0.999), (0.9, 0.7, 0.1)])
def test_the_axis_shows_two_points_or_more_and_the_best(accuracies, axis):
    low, high = axis(**dict(zip(("lora", "norm", "linear"), accuracies, strict=True))).get_ylim()
    assert high - low >= 2 and low < 100 * max(accuracies) < high


def test_a_single_seed_has_the_binomial_interval_of_its_test_split():
    (group,) = comparable(frame({("lora", "digits"): [0.9], ("lora", "count"): [1.0]}))
    mean, half, counts = means(group)
    assert list(mean) == ["mean of 2 tasks", "count", "digits"]
    assert list(mean.loc["lora"]) == pytest.approx([95, 100, 90]) and set(counts.loc["lora"]) == {1}
    one, other = [(hits + 2) / 1004 for hits in (1000, 900)]
    widths = [100 * 1.959964 * math.sqrt(p * (1 - p) / 1004) for p in (one, other)]
    assert list(half.loc["lora"]) == pytest.approx([math.hypot(*widths) / 2, *widths], rel=1e-5)
    assert means(group.assign(metric="instance mIoU"))[1].isna().all(axis=None)


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        ((5, 5), "bars: 95 % interval (Student's t over 5 seeds); "),
        ((5, 1), "bars: 95 % interval (Student's t over 5 seeds; binomial, of the test split for one seed); "),
        ((3, 1), "bars: 95 % interval (binomial, of the test split); "),
        ((3, 2), "vit_nano; checkpoint rule"),
    ],
)
def test_a_note_tells_the_intervals_that_are_drawn(seeds, told):
    values = [[0.5 + seed / 100 for seed in range(count)] for count in seeds]
    (group,) = comparable(frame({("lora", "digits"): values[0], ("linear", "digits"): values[1]}))
    assert told in pareto._panel(group, pareto.points(group)).note


def test_runs_without_a_point_are_one_line(tmp_path, monkeypatch, complaint):
    apart = frame({("lora", "digits"): [0.5], ("linear", "count"): [0.5]})
    monkeypatch.setattr("benchmarks.tables.reader.load", lambda *args, **options: apart)
    line = complaint(command.main, "--results", str(tmp_path))
    assert line == f"no run in {tmp_path} has every task of its table; run the missing ones"


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


def test_a_plot_of_many_points_names_the_frontier_and_the_highlighted_method(tmp_path, monkeypatch):
    monkeypatch.setattr(pareto, "MOST_NAMED", 2)
    beaten = {("norm", "digits"): [0.1], ("norm", "count"): [0.1]}
    groups = comparable(frame({**ACCURACY, **beaten}))
    text = pareto.write(groups, tmp_path)[1].read_text()
    assert "<!-- linear -->" in text and "<!-- lora -->" in text and "<!-- norm" not in text
    assert "<!-- norm -->" in pareto.write(groups, tmp_path, "norm")[1].read_text()


def test_frontier_the_highlighted_method_and_others_have_one_color_each(axis):
    drawn = axis(highlight="lora", lora=0.92, norm=0.95, linear=0.93, fact_tk=0.94)
    colors = {text.get_text(): text.get_color() for text in drawn.texts}
    assert (colors["lora"], colors["fact_tk"]) == (drawing.HIGHLIGHTED, drawing.WORDS)
    assert colors["linear"] == colors["norm"] == drawing.FRONTIER
    assert {line.get_marker() for line in drawn.lines if line.get_xydata().shape == (1, 2)} == {"o", "_"}  # and caps


@pytest.mark.parametrize("study", ["", "realdata"])
def test_no_name_of_the_committed_plots_is_missing_or_covered(study, root, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(drawing, "write", lambda figure, name, out: made.append(figure) or [])
    groups = comparable(reader.load(root / "results" / study))
    pareto.write(groups, tmp_path)
    made[0].draw_without_rendering()
    for axis, group in zip(made[0].axes, groups, strict=True):
        low, texts = axis.get_ylim()[0], [text for text in axis.texts if text.get_transform() != axis.transAxes]
        boxes = {text.get_text(): boxed(text) for text in texts if text.get_fontsize() == 8.5}
        all_points = pareto.points(group)
        short, _ = in_figures(p.name for p in all_points)
        best = pareto.frontier(all_points)
        named = [p for p in all_points if len(all_points) <= pareto.MOST_NAMED or p in best or p.highlighted]
        endings = {short[p.name]: f" {p.accuracy:.1f}" * bool(p.accuracy < low) for p in named}
        assert set(boxes) == {name + ending for name, ending in endings.items()}
        assert not [pair for pair in itertools.combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])]
        ends = [axis.transData.transform(line.get_xydata()) for line in axis.lines if len(line.get_xydata()) == 1]
        bars = [axis.transData.transform(bar) for lines in axis.collections for bar in lines.get_segments()]
        steps = [step for line in axis.lines if line.get_linestyle() == "--" for step in [line.get_path()]]
        covered = {
            name
            for name, box in boxes.items()
            if any(box.contains(*spot[0]) for spot in ends)
            or any(Path(bar).intersects_bbox(box, filled=False) for bar in bars)
            or any(step.transformed(axis.transData).intersects_bbox(box, filled=False) for step in map(stepped, steps))
        }
        assert covered == set()
    plt.close("all")


def boxed(text):
    """The box of a text in pixels, without the line that joins it to its point."""
    return Text.get_window_extent(text)


def stepped(path):
    """The way of a line that goes right, then up, from point to point."""
    points = path.vertices
    turns = [spot for (a, b), (c, d) in itertools.pairwise(points) for spot in ((a, b), (c, b), (c, d))]
    return Path(turns)


@pytest.mark.parametrize(
    ("tasks", "text"),
    [
        (("digits", "count"), "Images: 2 tasks, 1,000 parameters, 200 labels per task"),
        (("digits",), "Images: digits, 1,000 parameters, 200 labels"),
        (("solids", "solids_hard"), "Point clouds: 2 tasks, 1,000 parameters, 400 labels per task"),
    ],
)
def test_a_title_says_what_is_shown(tasks, text):
    (group,) = comparable(frame({("lora", task): [0.5] for task in tasks}))
    assert heading(group) == text
    assert heading(group.assign(**{"params.backbone": 1_406_040})) == text.replace("1,000", "1.4 M")
    unknown = group.assign(**{"spec.suite": "another"})
    assert heading(unknown) == text.rpartition(", ")[0]


def test_a_picture_that_must_be_whole_cuts_no_interval():
    values, errors = [95.0, 94.5, 80.0], [1.0, 9.0, 12.0]
    assert drawing.window(values, errors)[0] > 80 - 12
    low, high = drawing.window(values, errors, whole=True)
    assert low < 80 - 12 and high > 100 and low > 80 - 12 - 0.1 * (100 - 68)


def test_an_axis_has_no_numbers_where_methods_train_the_head_alone(tmp_path):
    text = pareto.write(comparable(frame(ACCURACY)), tmp_path)[1].read_text()
    ticks = {power for power in range(6) if f"10^{{{power}}}" in text}
    assert ticks == {2}  # LoRA has 100 parameters; linear probing is left of the gap, where 10 would be
