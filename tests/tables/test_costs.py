"""The tables of what runs cost (medians over runs, one table per device) and of what searches cost."""

import json
import statistics

import pandas as pd

from benchmarks.tables import costs
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.rows import comparable
from tests.support.made_records import ACCURACY, frame


def measured(device: str = "cpu: one") -> pd.DataFrame:
    """Six runs of lora and six of linear; most costs differ between runs."""
    runs = frame(ACCURACY)
    place = pd.Series(range(len(runs)), dtype=float)
    return runs.assign(
        **{
            "environment.device": device,
            "environment.threads": 2,
            "params.task_file_bytes": 1e4 * (1 + place**2),
            "cost.flops_per_image.forward": 50_362_752 + place,
            "cost.flops_per_image.training": 4.7606e9,
            "cost.peak_memory_bytes": 1e9 + 1e8 * place**2,
            "cost.step_ms.forward": 20.0 + place**2,
            "cost.step_ms.backward": 0.5 + place**3,
            "cost.step_ms.optimizer": 3.25,
            "cost.images_per_second": 1000.0 + 100 * place**2,
            "cost.latency_ms.unmerged": 5.5 + place,
            "cost.latency_ms.merged": 4.5,
            "cost.train_seconds": 100.0 * place,
        }
    )


def test_costs_are_medians_over_runs_in_the_units_of_their_columns():
    runs = measured()
    (table,) = costs.costs(comparable(runs)[0])
    median = {column: statistics.median(values) for column, values in runs[:6].filter(regex="bytes|cost").items()}
    assert dict(table.cells.loc["lora"]) == {
        "runs": "6",
        "file": f"{median['params.task_file_bytes'] / 1e3:.1f} kB",
        "forward FLOPs": "50.4 M",
        "training FLOPs": "4.76 G",
        "peak memory": f"{median['cost.peak_memory_bytes'] / 1e9:.2f} GB",
        "forward ms": f"{median['cost.step_ms.forward']:.1f}",
        "backward ms": f"{median['cost.step_ms.backward']:.1f}",
        "optimizer ms": "3.25",
        "samples/s": f"{median['cost.images_per_second']:,.0f}",
        "latency ms": f"{median['cost.latency_ms.unmerged']:.2f}",
        "merged latency ms": "4.50",
        "seconds": f"{median['cost.train_seconds']:.1f}",
    }


def test_the_table_of_costs_names_its_device_and_marks_no_best_cell():
    _, table = tables(measured())
    assert table.title == "offline version 2: what runs cost, image, vit_nano"
    assert table.notes[-1] == "Measured on cpu: one, threads 2, float32."
    assert table.values.isna().all(axis=None)


def test_runs_on_different_devices_never_share_a_median():
    both = pd.concat([measured("cpu: one"), measured("cuda: two")], ignore_index=True)
    made = [table for table in tables(both) if "what runs cost" in table.title]
    assert [table.notes[-1].split(",")[0] for table in made] == ["Measured on cpu: one", "Measured on cuda: two"]
    assert {table.cells.loc["lora", "runs"] for table in made} == {"6"}


def test_a_cost_without_a_record_has_no_column_and_one_without_a_run_is_a_dash():
    runs = measured().drop(columns="cost.latency_ms.merged")
    runs.loc[runs["spec.method"] == "linear", "cost.step_ms.backward"] = float("nan")
    (table,) = costs.costs(comparable(runs)[0])
    assert "merged latency ms" not in table.cells
    assert table.cells.loc["linear", "backward ms"] == "-" != table.cells.loc["lora", "backward ms"]


def test_searches_have_a_table_of_their_cost():
    found = frame({("norm", "digits"): [0.5, 0.7]})
    spent = [(0.5, 110, 0.1, 900, 0.71), (0.3, 114, 0.3, 1100, 0.72)]
    names = ("subnets", "seconds", "params", "val_accuracy")
    reports = [
        {"supernet": {"steps": 300, "seconds": first}, "search": dict(zip(names, search, strict=True))}
        for first, *search in spent
    ]
    both = pd.concat([frame(ACCURACY), found.assign(report=list(map(json.dumps, reports)))], ignore_index=True)
    _, table = tables(both)
    assert table.title == "offline version 2: what searches cost, image"
    assert list(table.cells.index) == ["norm on digits"]
    assert list(table.cells.loc["norm on digits"]) == ["2", "300", "0", "112", "0", "60", "1,000", "71.5"]
    theirs = both.assign(pack=[None, *["alice"] * (len(both) - 1)], **{"cost.train_seconds": 2.0})
    _, table = tables(pd.concat([both, theirs[-2:]], ignore_index=True))
    assert list(table.cells["seeds"].items()) == [("norm on digits", "2"), ("norm (alice) on digits", "2")]
