"""Which runs form one row, which rows form one table, and what rows are called."""

import json
import re
from dataclasses import replace
from importlib.util import find_spec

import pandas as pd
import pytest

from benchmarks.sweeps import sweep
from benchmarks.tables import reader, rows
from benchmarks.tables.leaderboard import tables
from tests.support.made_records import ACCURACY, frame, record


def test_tuned_runs_are_one_row_whatever_was_found_for_each_task():
    tuning = {"study": "s", "trials": 12, "split": "val", "val_accuracy": 0.5, "fixed": ["rank"], "search_seed": 0}
    records = []
    for options in ({"rank": 4, "lr": 0.1}, {"rank": 4, "lr": 0.2}):
        asked = sweep.Sweep(methods=("lora",), tasks=("digits", "count"), set={"lora": options})
        first, second = sweep.specs(asked, "float32")
        spec = first if options["lr"] == 0.1 else second
        records.append(record(replace(spec, tuning=tuning), 0.9, 100))
        records.append(record(first, 0.8, 100))
    (table,) = tables(reader.to_frame(records))
    assert table.cells.loc["lora rank=4 tuned, 12 trials", ["digits", "count"]].tolist() == ["90.0", "90.0"]
    assert {row for row in table.cells.index if "tuned" not in row} == {"lora lr=0.1 rank=4", "lora lr=0.2 rank=4"}


@pytest.mark.parametrize(
    "studies",
    [
        ("offline/lora/{task}/00000000+lr=11111111", "offline/lora/{task}/00000000+lr=22222222"),
        ("recommend/offline/{task}/11111111", "recommend/offline/{task}/22222222"),
        ("offline/lora/{task}/00000000", "offline/lora/{task}/00000000"),  # a study that was continued
    ],
)
def test_runs_of_two_searches_are_never_averaged(studies):
    rest, records = {"trials": 2, "split": "val", "val_accuracy": 0.5, "fixed": [], "search_seed": 0}, []
    for study, lr, accuracy in zip(studies, (0.1, 0.2), (0.9, 0.1), strict=True):
        asked = sweep.Sweep(methods=("lora",), tasks=("digits", "count"), set={"lora": {"lr": lr}})
        for spec in sweep.specs(asked, "float32"):
            told = replace(spec, tuning={"study": study.format(task=spec.task), **rest})
            records.append(record(told, accuracy, 100))
    (table,) = tables(reader.to_frame(records))
    own = {name: values for name, values in table.cells["digits"].items() if name.startswith("lora")}
    assert all(re.fullmatch(r"lora tuned, 2 trials search=\w{8}", name) for name in own)
    assert sorted(value for value in own.values() if value != "-") == ["10.0 †", "90.0"]
    if "+lr" in studies[0]:  # what was given to a search holds for all its tasks
        assert [table.cells.loc[name, "mean"] for name in own] == ["90.0", "10.0"]


def test_figures_say_once_that_all_rows_are_tuned_alike():
    lora, ssf = "lora tuned, 12 trials", "ssf tuned, 12 trials"
    assert rows.in_figures([lora, ssf]) == ({lora: "lora", ssf: "ssf"}, ", tuned, 12 trials")
    some = {"lora [a] tuned, 2 trials": "lora [a]", "ssf lr=0.1 tuned, 2 trials": "ssf lr=0.1"}
    assert rows.in_figures(some) == (some, ", tuned, 2 trials")
    for apart in (["lora", lora], ["lora", "ssf"], ["lora rank=4", "ssf rank=4"]):
        assert rows.in_figures(apart) == ({row: row for row in apart}, "")


def test_several_votes_are_named_and_stand_in_a_table_of_their_own():
    old = {("lora", "solids"): [0.5], ("lora", "solids_hard"): [0.4]}
    both = pd.concat([frame(old), frame(old, recipe={"votes": 10})], ignore_index=True)
    recipes = [next(note for note in table.notes if note.startswith("Recipe")) for table in tables(both)]
    assert sorted("votes 10" in note for note in recipes) == [False, True]
    assert sorted(note.count("votes") for note in recipes) == [0, 1]
    assert not any("nan" in note for note in recipes)
    (alone,) = tables(frame(old))
    assert alone.notes[3] in recipes


def test_adapted_statistics_fill_a_column_where_they_are_off_the_default():
    old = {("lora", "solids"): [0.5]}
    both = pd.concat([frame(old), frame(old, recipe={"frozen_batchnorm": "adapt"})], ignore_index=True)
    shown = [dict(table.cells.get("frozen BatchNorm", {})) for table in tables(both)]
    assert sorted(shown, key=len) == [{}, {"lora": "adapt"}]


def test_other_data_of_a_task_is_never_averaged_in():
    other = frame({("lora", "digits"): [0.1]})
    other["spec.data_fingerprint"] = "f" * 64
    (table,) = tables(pd.concat([frame(ACCURACY), other], ignore_index=True))
    assert "lora data=ffffffff" in table.cells.index
    assert table.cells.loc["lora data=ffffffff", "digits"] == "10.0 †"  # of 10 classes


@pytest.mark.skipif(find_spec("peft") is None, reason="Hugging Face PEFT is not installed")
def test_a_bridged_method_is_named_by_what_differs_from_its_defaults():
    asked = sweep.Sweep(methods=("hf:lora", "lora"), tasks=("digits",), set={"hf:lora": {"r": [8, 4]}})
    records = [record(spec, 0.5, 100) for spec in sweep.specs(asked, "float32")]
    (table,) = tables(reader.to_frame(records))
    assert set(table.cells.index) == {"hf:lora", "hf:lora r=4", "lora"}


def test_many_options_get_a_letter_and_a_note():
    options = {"rank": 2, "alpha": 3.0, "weight_decay": 0.1, "lr": 0.5}
    frames = [frame(ACCURACY), frame({("lora", "digits"): [0.8]}, set={"lora": options})]
    (table,) = tables(pd.concat(frames, ignore_index=True))
    assert set(table.cells.index) == {"lora", "linear", "lora [a]"}
    assert table.notes[-1] == "lora [a]: alpha=3.0 lr=0.5 rank=2 weight_decay=0.1."


def test_a_tuned_row_with_a_letter_says_in_its_name_that_it_is_tuned():
    options = {"rank": 2, "alpha": 3.0, "weight_decay": 0.1, "lr": 0.5}
    tuned = frame({("lora", "digits"): [0.8]}, set={"lora": options})
    study = {"study": "offline/lora/digits/0a1b2c3d", "trials": 3, "search_seed": 0, "fixed": list(options)}
    (table,) = tables(tuned.assign(tuning=json.dumps(study)))
    assert "lora [a] tuned, 3 trials" in table.cells.index
    assert table.notes[-1] == "lora [a] tuned, 3 trials: alpha=3.0 lr=0.5 rank=2 weight_decay=0.1."
