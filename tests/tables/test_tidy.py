"""The CSV files of a leaderboard are tidy: one line per method and task, and every number is a number."""

import io

import pandas as pd
import pytest

from benchmarks.tables import tidy
from benchmarks.tables.rows import comparable
from tests.support.made_records import ACCURACY, frame


def test_a_line_has_the_numbers_of_one_method_on_one_task():
    made = tidy.files(comparable(frame(ACCURACY)))
    assert made.keys() == {"leaderboard.csv"}  # made records have no device and no search
    table = pd.read_csv(io.StringIO(made["leaderboard.csv"]))
    assert [tuple(pair) for pair in table[["method", "task"]].to_numpy()] == [
        (method, task) for method in ("linear", "lora") for task in ("digits", "count", "mean")
    ]
    line = table.set_index(["method", "task"]).loc[("lora", "digits")]
    about = {
        "table": 1,
        "suite": "offline version 2",
        "modality": "image",
        "backbone": "vit_nano",
        "metric": "accuracy",
    }
    params = {"method_params": 100, "head_params": 10, "backbone_params": 1000}
    assert about.items() <= line.to_dict().items() and params.items() <= line.to_dict().items()
    # 92 +- 2 of three seeds: half the interval is 4.303 x 2 / sqrt(3)
    numbers = line[["seeds", "mean", "deviation", "low", "high", "chance"]].to_list()
    assert numbers == pytest.approx([3, 92, 2, 92 - 4.9683, 92 + 4.9683, 10], abs=1e-4)
    assert table.set_index(["method", "task"])["mean"][("lora", "mean")] == pytest.approx((92 + 53) / 2, abs=1e-4)
    texts = {"suite", "modality", "backbone", "metric", "method", "options", "task"}
    assert {name for name in table if not pd.api.types.is_numeric_dtype(table[name])} <= texts


def test_a_single_seed_has_no_deviation_and_no_interval():
    text = tidy.files(comparable(frame({("lora", "digits"): [0.5]})))["leaderboard.csv"]
    (line,) = pd.read_csv(io.StringIO(text)).to_dict("records")
    assert (line["seeds"], line["mean"]) == (1, 50)
    assert all(pd.isna(line[name]) for name in ("deviation", "low", "high"))


def test_costs_are_plain_numbers_with_units_in_their_names(root):
    table = pd.read_csv(root / "results" / "costs.csv")
    assert {"task_file_bytes", "train_seconds", "latency_ms_merged", "flops_per_image_training"} <= set(table)
    assert table.select_dtypes("number").shape[1] == table.shape[1] - 7
    assert set(pd.read_csv(root / "results" / "searches.csv")["method"]) == {"glora [a]", "noah [b]"}
