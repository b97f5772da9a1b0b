"""runs.parquet has every number of every record, and its schema does not depend on the records."""

import io
import json
from typing import Any

import pytest
from pyarrow import parquet

from benchmarks.records import store
from benchmarks.tables.parquet import schema, to_parquet
from benchmarks.tables.reader import TEXTS, to_frame
from tests.support import many_records

FIELDS = ("epoch", "train_loss", "lr", "val_accuracy", "test_accuracy")


def table(records: list[dict[str, Any]], rows: slice = slice(None)) -> Any:
    return parquet.read_table(io.BytesIO(to_parquet(to_frame(records)[rows])))


def at(record: dict[str, Any], name: str) -> Any:
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def test_every_value_of_the_committed_records_is_in_its_row(root):
    records = store.records(root / "results")[::20]
    rows = table(records).to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for name in schema():
            if name in TEXTS:
                assert (json.loads(row[name]) if row[name] else None) == (at(record, name) or None)
            elif not name.startswith("history."):
                assert row[name] == at(record, name)
        for field in FIELDS:
            values = [epoch[field] for epoch in record["history"]]
            assert (row[f"history.{field}"] or [None] * len(values)) == values


def test_the_schema_does_not_depend_on_the_records(root):
    some = list(many_records.records(2))
    assert table(some).schema == table(store.records(root / "results" / "realdata")[:3]).schema


def test_fields_outside_the_schema_follow_by_name():
    first, second = many_records.records(2)
    first["cost"]["energy_joules"] = 2.5
    second["accuracy"]["mixed"], first["accuracy"]["mixed"] = "text", 1
    made = table([first, second])
    assert made.column_names[-2:] == ["accuracy.mixed", "cost.energy_joules"]
    assert made["cost.energy_joules"].to_pylist() == [2.5, None]
    assert made["accuracy.mixed"].to_pylist() == ["1", '"text"']


def test_a_missing_number_of_an_epoch_is_null():
    (record,) = many_records.records(1)
    record["history"] = [{"epoch": 1, "val_accuracy": None}, {"epoch": 2, "val_accuracy": 0.5}]
    assert table([record])["history.val_accuracy"].to_pylist() == [[None, 0.5]]
    assert table([record])["history.train_loss"].to_pylist() == [None]


@pytest.mark.parametrize("rows", [slice(1, 3), slice(2, None)])
def test_a_selection_of_rows_keeps_its_curves(rows):
    records = list(many_records.records(4))
    losses = table(records, rows)["history.train_loss"].to_pylist()
    assert losses == [[epoch["train_loss"] for epoch in record["history"]] for record in records[rows]]
