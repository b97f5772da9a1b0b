"""The table of accuracies against independent calculations."""

import math
import statistics

from benchmarks.sweeps import sweep
from benchmarks.tables import reader
from benchmarks.tables.leaderboard import tables
from tests.support.made_records import ACCURACY, frame, record

MEANS = [100 * (a + b) / 2 for a, b in zip(ACCURACY["lora", "digits"], ACCURACY["lora", "count"], strict=True)]


def test_cells_are_means_and_sample_deviations_over_seeds():
    (table,) = tables(frame(ACCURACY))
    assert list(table.cells.index) == ["lora", "linear"]
    digits = [100 * value for value in ACCURACY["lora", "digits"]]
    assert table.cells.loc["lora", "digits"] == f"{statistics.mean(digits):.1f} ± {statistics.stdev(digits):.1f}"
    assert table.cells.loc["lora", "mean"] == f"{statistics.mean(MEANS):.1f} ± {statistics.stdev(MEANS):.1f}"
    assert table.cells.loc["lora", "seeds"] == "3"
    assert table.cells.loc["lora", "%"] == "10.00"
    expected = statistics.mean(MEANS) / 100 * math.exp(-math.log10(100 / 1e7 + 1))
    assert table.cells.loc["lora", "PPT"] == f"{expected:.3f}"


def test_the_mean_has_its_t_interval_and_rows_their_rank_and_verdict():
    (table,) = tables(frame(ACCURACY))
    half = 4.303 * statistics.stdev(MEANS) / math.sqrt(3)
    mean = statistics.mean(MEANS)
    assert table.cells.loc["lora", "95 % interval"] == f"{mean - half:.1f} to {mean + half:.1f}"
    assert list(table.cells["against best"]) == ["best", "below"]
    assert list(table.cells["rank"]) == ["1.0", "2.0"]


def test_one_seed_has_no_interval_and_no_verdict():
    (table,) = tables(frame({key: values[:1] for key, values in ACCURACY.items()}))
    assert list(table.cells["95 % interval"]) == ["-", "-"]
    assert list(table.cells["against best"]) == ["best", "-"]


def test_a_row_without_every_task_has_no_mean_no_rank_and_no_verdict():
    three = {**ACCURACY, ("norm", "digits"): [0.99, 0.99, 0.99]}
    (table,) = tables(frame(three))
    lacking = ["count", "mean", "group mean", "PPT", "95 % interval", "rank", "against best"]
    assert (table.cells.loc["norm", lacking] == "-").all()
    assert dict(table.cells["rank"].drop("norm")) == {"lora": "1.0", "linear": "2.0"}


def test_published_numbers_stand_beside_ours_with_their_rule():
    sweeps = sweep.Sweep(suite="vtab1k", methods=("lora", "norm"), backbone=("vit_nano",))
    records = [record(spec, 0.5, 100) for spec in sweep.specs(sweeps, "float32", absent=True)]
    (table,) = tables(reader.to_frame(records))
    assert dict(table.cells["published"]) == {"lora": "mean 72.25, group mean 74.60; rule best_test", "norm": "-"}
    (own,) = tables(frame(ACCURACY))
    assert "published" not in own.cells
