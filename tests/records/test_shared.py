"""A run that two rows of a table share: it has one record, and both rows."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmarks import run
from benchmarks.records import shared, store
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.reader import asked, load
from benchmarks.tuning import tuned
from benchmarks.tuning.space import Search
from methods.errors import UserError
from tests.support.made_records import result

STUDY = {"study": "a", "trials": 3, "split": "val", "val_accuracy": 0.9, "fixed": [], "search_seed": 0}
TUNED = "lora tuned, 3 trials"


def rows(results):
    (table,) = tables(load(results, shared=True))
    return {row: table.cells.loc[row, ["digits", "count", "mean"]].tolist() for row in ("lora", TUNED)}


def test_a_default_run_that_a_study_found_best_is_in_both_rows(specs, tmp_path):
    digits, count = specs("lora", tasks=("digits", "count"))
    own = replace(count, config=replace(count.config, lr=0.02), tuning=STUDY)
    for spec, accuracy in ((digits, 0.5), (count, 0.3), (own, 0.4)):
        store.write(tmp_path, result(spec, accuracy))
    assert rows(tmp_path) == {"lora": ["50.0", "30.0", "40.0"], TUNED: ["-", "40.0", "-"]}
    record = store.read(store.record_path(tmp_path, digits))
    for _ in range(2):
        shared.note(tmp_path, record, STUDY)
    assert rows(tmp_path) == {"lora": ["50.0", "30.0", "40.0"], TUNED: ["50.0", "40.0", "45.0"]}
    assert len(load(tmp_path)) == len(store.records(tmp_path)) == 3
    frame = load(tmp_path, shared=True)
    assert asked(frame, [digits, count])["tuning"].isna().tolist() == [True, True]
    assert asked(frame, [replace(digits, tuning=STUDY), own])["tuning"].notna().tolist() == [True, True]


def test_a_record_that_is_replaced_stays_in_its_row(specs, tmp_path):
    (spec,) = specs("lora")
    store.write(tmp_path, result(replace(spec, tuning=STUDY)))
    store.write(tmp_path, result(spec))
    record = store.read(store.record_path(tmp_path, spec))
    assert (record["tuning"], shared.tunings(tmp_path, record)) == (None, [STUDY])
    store.write(tmp_path, result(spec))
    assert shared.tunings(tmp_path, record) == [STUDY]


def test_the_runs_of_a_study_that_kept_the_defaults_are_shown_and_not_trained(specs, tmp_path, capsys):
    made = specs("lora", seeds=(0, 1))
    for spec in made:
        store.write(tmp_path, result(spec, 0.5))
    search = Search(base=made[0], fixed=(), trials=3)
    trial = SimpleNamespace(value=0.9, user_attrs={"slot": 0, "config": made[0].to_json()["config"]}, params={})
    tuned.write(tmp_path / tuned.CONFIGS, search, trial, {"complete": 3})  # type: ignore[arg-type]
    words = ["--methods", "lora", "--tasks", "digits", "--seeds", "0", "1", "--recipe", "epochs=1", "warmup_epochs=0"]
    assert run.main([*words, "--tuned", "--dtype", "float32", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "2 runs: 0 trained, 2 already finished, 0 failed" in out
    assert [line.split("│")[1].strip() for line in out.splitlines() if line.startswith("│")] == [TUNED, "chance"]
    (table,) = tables(load(tmp_path, shared=True))
    assert {"lora", TUNED} <= set(table.cells.index)


@pytest.mark.parametrize("text", ["{", "[]", '{"tunings": [3]}', '{"tunings": [{"study": "a"}]}'])
def test_a_damaged_note_is_one_line(text, specs, tmp_path):
    (spec,) = specs("lora")
    store.write(tmp_path, result(spec))
    record = store.read(store.record_path(tmp_path, spec))
    shared.note(tmp_path, record, STUDY)
    (path,) = (tmp_path / shared.SHARED).rglob("*.json")
    path.write_text(text)
    with pytest.raises(UserError, match=r"cannot read .*; remove it"):
        load(tmp_path, shared=True)
