"""submit packs records, and check finds what is wrong with a pack without training."""

import copy
import io
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import check, submit
from benchmarks.files.root import Missing
from benchmarks.records import evidence, packs, shared, store
from benchmarks.records.spec import key_of
from benchmarks.submissions import plausible
from benchmarks.suites import offline
from benchmarks.tables import tidy
from benchmarks.tables.reader import load
from benchmarks.tables.reader import ours as own
from benchmarks.tables.rows import comparable, sources

RESULTS = Path(__file__).parents[1] / "results"
CHECKS = ("written", "here", "wiring", "copy", "plausible")


@pytest.fixture
def ours(tmp_path):
    """A results folder with three seeds of some methods on a task: committed records, with made-up accuracies."""
    results = tmp_path / "ours"
    for path in (RESULTS / store.RUNS / "offline" / "digits").glob("[nsv]*-s0-*.json"):
        for seed, accuracy in enumerate((0.89, 0.90, 0.91)):
            record = changed(store.read(path), seed, accuracy={"test": accuracy, "test_samples": 1000})
            target = results / packs.path_of(record)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(record))
    return results


@pytest.fixture(scope="module")
def committed():
    return store.records(RESULTS)


def repeated(results, seed=7, **changes):
    """A record of ours as if it had been run with another seed, with changes such as ``accuracy={"test": 0.5}``."""
    return changed(next(r for r in store.each(results) if r["spec"]["method"] == "norm"), seed, **changes)


def changed(record, seed, **changes):
    """A record as if it had been run with another seed, with changes."""
    record = copy.deepcopy(record)
    record["spec"]["seed"] = seed
    record["cost"]["train_seconds"] += seed
    for section, values in changes.items():
        record[section] |= values
    record["key"] = key_of(record["spec"])
    return evidence.seal(record)


def failed(pack, results, capsys):
    """The checks that fail, and what is told."""
    status = check.main([str(pack), "--results", str(results)])
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("│")]
    found = [name for name, row in zip(CHECKS, rows, strict=True) if "FAIL" in row]
    assert status == bool(found)
    return found, out


def packed(pack, *records):
    packs.write({packs.path_of(record): record for record in records}, pack)
    return pack


def test_what_submit_packs_passes(ours, tmp_path, capsys):
    pack = tmp_path / "alice.zip"
    assert submit.main([str(ours), "--methods", "norm", "-o", str(pack)]) == 0
    out, err = capsys.readouterr()
    assert f"written: {pack}, 3 records" in out and ": results/submitted/alice.zip\n" in out and not err
    found, out = failed(pack, tmp_path / "nothing", capsys)  # beside no records of ours
    assert found == [] and "beside ours (0 t-tests) │ not checked" in out
    assert "not checked: accuracies of 1 of 1 groups of seeds: no runs of ours have their specs" in out
    assert out.splitlines()[-1].startswith("next: put it into ")


def test_a_pack_of_our_own_records_is_a_copy(ours, tmp_path, capsys):
    assert submit.main([str(ours), "--methods", "norm", "-o", str(tmp_path / "alice.zip")]) == 0
    found, out = failed(tmp_path / "alice.zip", ours, capsys)
    assert found == ["copy"] and out.count("it has the measured times of a record of ") == 3


def test_another_seed_with_a_usual_accuracy_passes(ours, tmp_path, capsys):
    found, out = failed(packed(tmp_path / "alice.zip", repeated(ours)), ours, capsys)
    assert found == [] and "accuracies are plausible beside ours (1 t-tests)" in out


@pytest.mark.parametrize(
    ("changes", "fault", "told"),
    [
        ({"accuracy": {"test": 0.999}}, "plausible", "norm on digits: 99.9 % over 1 seeds, ours 90.0 % over 3"),
        (
            {"params": {"method": 100, "trainable": 1070}},
            "wiring",
            "method 100, counted 4,800; trainable 1,070, counted",
        ),
        ({"accuracy": {"test": 0.9, "test_samples": 500}}, "here", "test_samples is 500, and 1000 here"),
        ({"spec": {"data_fingerprint": "0" * 64}}, "here", f"data_fingerprint is {'0' * 64}, and "),
        ({"spec": {"method": "nobody"}}, "here", "unknown method 'nobody'"),
        ({"spec": {"task": "digitz"}}, "here", "suite offline has no task digitz"),
    ],
)
def test_what_cannot_be_is_told(changes, fault, told, ours, tmp_path, capsys):
    found, out = failed(packed(tmp_path / "alice.zip", repeated(ours, **changes)), ours, capsys)
    assert found == [fault] and told in out


def test_no_seed_of_ours_is_implausible_beside_the_others(committed):
    for seed in {r["spec"]["seed"] for r in committed}:
        given, others = ([r for r in committed if (r["spec"]["seed"] == seed) == one] for one in (True, False))
        faults, judged, unjudged = plausible.faults(given, others)
        assert (faults, judged + unjudged) == ([], len(given))  # one record of each method and task
        assert (judged > 0) == bool(others)


def test_what_a_stage_left_is_counted_as_the_record_tells(committed, tmp_path, capsys):
    record = copy.deepcopy(next(r for r in committed if r["spec"]["method"] == "noah"))
    record["report"]["architecture"] = {name: 3 * [5] + 9 * [0] for name in ("adapter", "lora", "prompts")}
    own = 3 * (5 * (2 * 96 + 1) + 96 + 5 * 4 * 96 + 5 * 96)
    for more, expected in ((0, []), (96, ["wiring"])):
        record["params"] |= {"method": own + more, "trainable": own + more + record["params"]["head"]}
        assert failed(packed(tmp_path / "alice.zip", evidence.seal(record)), tmp_path, capsys)[0] == expected


def test_files_that_are_not_here_are_told(ours, tmp_path, capsys, monkeypatch):
    def missing(task):
        raise Missing(f"no {task}")

    monkeypatch.setattr(offline, "SUITE", replace(offline.SUITE, fingerprint=missing))
    found, out = failed(packed(tmp_path / "alice.zip", repeated(ours)), ours, capsys)
    assert found == [] and "not checked: the fingerprint of offline/digits: its files are not below --data-root" in out


def test_an_edited_record_is_told(ours, tmp_path, capsys):
    record = repeated(ours) | {"report": {"more": 1}}
    found, out = failed(packed(tmp_path / "alice.zip", record), ours, capsys)
    assert found == ["written"] and "its digest is not that of its content" in out


def test_rows_of_a_pack_stand_apart_and_say_that_they_are_submitted(ours):
    (frame,) = comparable(load(ours))
    assert sources(frame) is None
    packed(ours / packs.FOLDER / "alice.zip", repeated(ours))
    (frame,) = comparable(load(ours))
    rows = frame[frame["spec.method"] == "norm"]
    assert sources(rows).to_dict() == {"norm": "ours", "norm (alice)": "submitted"}
    lines = pd.read_csv(io.StringIO(tidy.files([rows])["leaderboard.csv"]))
    assert dict(zip(lines["method"], lines["source"], strict=True)) == {"norm": "ours", "norm (alice)": "submitted"}
    assert set(own(frame)["row"]) == set(frame["row"]) - {"norm (alice)"}
    assert rows.groupby("row")["spec.seed"].apply(list).to_dict() == {"norm": [0, 1, 2], "norm (alice)": [7]}


def test_submit_tells_of_runs_that_belong_to_two_rows(ours, tmp_path, capsys):
    tuning = {"study": "s", "trials": 1, "split": "val", "val_accuracy": 0.5, "fixed": [], "search_seed": 0}
    shared.note(ours, store.records(ours)[0], tuning)
    assert submit.main([str(ours), "-o", str(tmp_path / "a.zip")]) == 0
    assert "1 runs belong to two rows here" in capsys.readouterr().err


def test_submit_without_records_is_one_line(tmp_path, complaint):
    assert complaint(submit.main, str(tmp_path)).startswith("no such records below")


def test_packs_that_others_submitted_pass():
    for pack in sorted((RESULTS / packs.FOLDER).glob(f"*{packs.ENDING}")):
        assert check.main([str(pack), "--results", str(RESULTS)]) == 0
