"""The table of what searches cost."""

from __future__ import annotations

import json

import pandas as pd

from benchmarks.tables.leaderboard import tables
from tests.support.made_records import ACCURACY, frame


def test_searches_have_a_table_of_their_cost() -> None:
    found = frame({("norm", "digits"): [0.5, 0.7]})
    search = {"subnets": 110, "seconds": 0.1, "params": 900, "val_accuracy": 0.71}
    other = {"subnets": 114, "seconds": 0.3, "params": 1100, "val_accuracy": 0.72}
    reports = [
        {"supernet": {"steps": 300, "seconds": 0.5}, "search": search},
        {"supernet": {"steps": 300, "seconds": 0.3}, "search": other},
    ]
    both = pd.concat([frame(ACCURACY), found.assign(report=list(map(json.dumps, reports)))], ignore_index=True)
    _, table = tables(both)
    assert table.title == "offline: what searches cost, image"
    assert list(table.cells.index) == ["norm on digits"]
    cells = ["2", "300", "0", "112", "0", "60", "1,000", "71.5"]
    assert list(table.cells.loc["norm on digits"]) == cells
