"""runs.parquet has every number of every record, under a schema that does not depend on which records there are."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from benchmarks.records import store
from benchmarks.tables.columns import Columns, Histories
from benchmarks.tables.parquet import COLUMNS, CURVES, TEXTS, to_parquet
from tests.support import many_records

RESULTS = Path(__file__).parents[2] / "results"


def table(records: list[dict[str, Any]], rows: slice = slice(None)) -> Any:
    columns, histories = Columns(), Histories()
    columns.add([{name: value for name, value in record.items() if name != "history"} for record in records])
    histories.add([record["history"] for record in records])
    return parquet.read_table(io.BytesIO(to_parquet(columns.frame()[rows], histories)))


def without_nulls(value: Any) -> Any:
    return {k: without_nulls(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value


def at(record: dict[str, Any], name: str) -> Any:
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def test_every_value_of_the_committed_records_is_in_its_row() -> None:
    records = store.records(RESULTS)[::20]
    rows = table(records).to_pylist()
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for names in COLUMNS.values():
            assert {name: row[name] for name in names} == {name: at(record, name) for name in names}
        for name in TEXTS:
            value = without_nulls(at(record, name) or {})
            assert (json.loads(row[name]) if row[name] else {}) == value
        for field in CURVES:
            values = [epoch[field] for epoch in record["history"]]
            assert (row[f"history.{field}"] or [None] * len(values)) == values


def test_the_schema_does_not_depend_on_the_records() -> None:
    some = list(many_records.records(2))
    assert table(some).schema == table(store.records(RESULTS)[:3]).schema


def test_fields_of_later_records_follow_by_name() -> None:
    first, second = many_records.records(2)
    first["cost"]["energy_joules"] = 2.5
    second["accuracy"]["mixed"], first["accuracy"]["mixed"] = "text", 1
    made = table([first, second])
    assert made.column_names[-len(CURVES) - 2 : -len(CURVES)] == ["accuracy.mixed", "cost.energy_joules"]
    assert made["cost.energy_joules"].to_pylist() == [2.5, None]
    assert made["accuracy.mixed"].to_pylist() == ["1", '"text"']


@pytest.mark.parametrize("rows", [slice(1, 3), slice(2, None)])
def test_rows_of_one_suite_keep_their_curves(rows: slice) -> None:
    records = list(many_records.records(4))
    losses = table(records, rows)["history.train_loss"].to_pylist()
    assert losses == [[epoch["train_loss"] for epoch in record["history"]] for record in records[rows]]
