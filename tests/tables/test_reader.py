"""Reading run records into a table: its columns, the order of its rows, and its errors."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.records import store
from benchmarks.tables.reader import TEXTS, load, to_frame
from methods.errors import UserError
from tests.support import many_records
from tests.support.edited import edit

MANY = 60


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    many_records.write(folder, MANY)
    return folder


def test_columns_are_flattened_fields_and_json_texts():
    records = list(many_records.records(20))
    frame = to_frame(records)
    plain = pd.json_normalize([{name: value for name, value in r.items() if name != "history"} for r in records])
    differing = tuple(f"{name}." for name in TEXTS if name != "spec.recipe")
    kept = [name for name in plain if not name.startswith(differing) and name not in TEXTS]
    curves = {f"history.{name}" for name in records[0]["history"][0]}
    assert set(frame) == {*kept, *TEXTS, *curves}
    pd.testing.assert_frame_equal(frame[kept], plain[kept])
    assert [json.loads(text) for text in frame["spec.config"]] == [record["spec"]["config"] for record in records]
    assert frame["tuning"].isna().all()


def test_an_object_that_is_empty_has_no_text():
    first, second = many_records.records(2)
    first["report"], second["report"] = {}, {"search": {"subnets": 3}}
    frame = to_frame([first, second])
    assert list(frame["report"].isna()) == [True, False]
    assert frame["report"][1] == '{"search":{"subnets":3}}'


@pytest.mark.parametrize(
    ("numbers", "expected"), [([None, 0.5], [math.nan, 0.5]), ([None, None], None), ([1, 2], [1.0, 2.0])]
)
def test_a_curve_has_one_number_per_epoch_or_is_none(numbers, expected):
    (record,) = many_records.records(1)
    record["history"] = [{"val_accuracy": number} for number in numbers]
    curve = to_frame([record])["history.val_accuracy"][0]
    assert curve is None if expected is None else np.array_equal(curve, expected, equal_nan=True)


def test_rows_and_their_curves_are_ordered_by_path(results):
    paths = sorted((results / store.RUNS).rglob("*.json"))
    records = [json.loads(path.read_text()) for path in paths]
    frame = load(results)
    assert list(frame["key"]) == [record["key"] for record in records]
    losses = [[epoch["train_loss"] for epoch in record["history"]] for record in records]
    assert [curve.tolist() for curve in frame["history.train_loss"]] == losses


def test_a_suite_can_be_read_alone(results):
    frame = load(results)
    assert list(load(results, "vtab1k")["key"]) == list(frame.loc[frame["spec.suite"] == "vtab1k", "key"])


def test_an_unknown_suite_is_an_error_that_suggests_a_known_one(results):
    with pytest.raises(UserError, match="unknown suite 'vtab'; did you mean 'vtab1k'"):
        load(results, "vtab")


@pytest.mark.parametrize("which", [0, -1])
def test_a_broken_record_is_named_and_left_out(which, tmp_path, capsys):
    many_records.write(tmp_path, 4)
    path = sorted((tmp_path / store.RUNS).rglob("*.json"))[which]
    path.write_text('{"schema_version": 1,')
    assert len(load(tmp_path)) == 3
    assert capsys.readouterr().err == (
        f"warning: record {path}: Expecting property name enclosed in double quotes: line 1 column 22 (char 21); "
        "it is left out\n"
    )


def test_nan_in_a_record_can_be_read(tmp_path):
    many_records.write(tmp_path, 1)
    (path,) = (tmp_path / store.RUNS).rglob("*.json")
    edit(path, lambda record: record["cost"]["latency_ms"].update(merged=math.nan))
    assert "NaN" in path.read_text()  # which is not standard JSON
    assert math.isnan(load(tmp_path)["cost.latency_ms.merged"].item())
