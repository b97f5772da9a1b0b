"""Records to columns as they are read: against pandas, in one process and in two, with the messages of single reads."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import second
from benchmarks.records import store
from benchmarks.tables import reader
from benchmarks.tables.columns import Columns, Histories, coded
from tests.support import many_records

IRREGULAR: list[dict[str, Any]] = [
    {"a": 1, "b": {"c": "x", "d": {"e": True}}, "n": None},
    {"a": 2, "b": {"c": "y", "d": {"e": 4, "f": 0.5}}, "n": {"m": 1}},
    {"b": {"c": None, "d": {}, "g": [1, 2]}, "late": {"h": "x"}, "n": None},
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    many_records.write(folder, 60)
    return folder


def test_columns_are_those_of_pandas_whatever_records_lack() -> None:
    records = IRREGULAR * 5
    for together in (1, 2, 4, len(records)):
        columns = Columns()
        for start in range(0, len(records), together):
            columns.add(records[start : start + together])
        pd.testing.assert_frame_equal(columns.frame(), pd.json_normalize(records), check_like=True)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        [0.5, 1.0, 2.0],
        [1, 2, 0.5],
        [0.5, None, 2],
        [True, 1, 0],
        [2**63, 1, 2],
        [1, -(2**70), 2],
        [1, "x", 2],
    ],
    ids=str,
)
@pytest.mark.parametrize("together", [1, 2, 3])
def test_columns_of_numbers_are_those_of_pandas(values: list[Any], together: int) -> None:
    records = [{"a": value} for value in values]
    columns = Columns()
    for start in range(0, len(records), together):
        columns.add(records[start : start + together])
    pd.testing.assert_frame_equal(columns.frame(), pd.json_normalize(records))


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_columns_joined_are_those_of_all_records(cut: int) -> None:
    first, last = Columns(), Columns()
    for columns, records in ((first, IRREGULAR[:cut]), (last, IRREGULAR[cut:])):
        columns.add(records)
    first.extend(last)
    pd.testing.assert_frame_equal(first.frame(), pd.json_normalize(IRREGULAR), check_like=True)


@pytest.mark.parametrize("together", [1, 2, 4])
def test_histories_give_every_run_its_own_numbers(together: int) -> None:
    runs: list[list[dict[str, float | None]]] = [
        [],
        [{"loss": 1.0, "val": None}, {"loss": 0.5, "val": None}],
        [{"loss": 3.0, "val": 0.25}, {"loss": 2.0, "val": None}],
        [{"other": 7.0}],
    ]
    histories = Histories()
    for start in range(0, len(runs), together):
        histories.add(runs[start : start + together])
    assert [list(histories.of("loss", run)) for run in range(4)] == [[], [1.0, 0.5], [3.0, 2.0], []]
    assert [list(histories.of("other", run)) for run in range(4)] == [[], [], [], [7.0]]
    assert [len(histories.of("val", run)) for run in range(4)] == [0, 0, 2, 0]
    assert histories.of("val", 2)[0] == 0.25 and math.isnan(histories.of("val", 2)[1])


def test_true_and_one_keep_apart_and_gaps_make_no_fractions() -> None:
    places, texts = coded(pd.Series([True, 1, None, [0.5, 2.0], "x", 1], dtype=object))
    assert [None if place < 0 else texts[place] for place in places] == ["true", "1", None, "[0.5,2.0]", '"x"', "1"]
    places, texts = coded(pd.Series([8.0, math.nan, 0.1]))
    assert [None if place < 0 else texts[place] for place in places] == ["8", None, "0.1"]


def test_two_processes_read_what_one_reads(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, curves = store.load_with_histories(results)
    monkeypatch.setattr(second, "MANY", 2)
    monkeypatch.setattr(reader, "CHUNK", 7)
    halved, joined = store.load_with_histories(results)
    pd.testing.assert_frame_equal(halved, alone)
    assert {f: (joined.values[f], joined.reached(f)) for f in joined.values} == {
        f: (curves.values[f], curves.reached(f)) for f in curves.values
    }


def test_rows_stand_in_the_order_of_the_paths_and_curves_with_them(results: Path) -> None:
    paths = sorted((results / store.RUNS).rglob("*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    frame, histories = store.load_with_histories(results)
    assert list(frame["key"]) == [record["key"] for record in records]
    for run, record in enumerate(records):
        assert list(histories.of("train_loss", run)) == [epoch["train_loss"] for epoch in record["history"]]


@pytest.mark.parametrize("many", [2, 1000])
@pytest.mark.parametrize("which", [0, -1])
def test_a_broken_record_is_named_in_either_half(
    many: int, which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_records.write(tmp_path, 4)
    path = sorted((tmp_path / store.RUNS).rglob("*.json"))[which]
    path.write_text('{"schema_version": 1,')
    monkeypatch.setattr(second, "MANY", many)
    with pytest.raises(ValueError, match="cannot read record") as error:
        store.load(tmp_path)
    assert str(error.value) == (
        f"cannot read record {path}: Expecting property name enclosed in double quotes: line 1 column 22 (char 21); "
        "move it away and repeat the command"
    )


def test_numbers_that_are_none_can_be_read(tmp_path: Path) -> None:
    record = next(many_records.records(1))
    record["cost"]["train_seconds"] = math.nan  # Python's JSON has it, the standard's has not
    path = tmp_path / store.RUNS / "one.json"
    path.parent.mkdir()
    path.write_text(json.dumps(record))
    assert math.isnan(store.load(tmp_path)["cost.train_seconds"].item())
