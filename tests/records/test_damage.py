"""Damaged, edited and made-up records: each is named in one warning and left out, and the others are read."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import run
from benchmarks.records import store
from benchmarks.records.spec import Spec
from tests.support.edited import edit
from tests.support.made_records import result

Damage = Callable[[Path], object]


def sealed(*names: str, **changes: Any) -> Damage:
    """Change fields of the object that ``names`` lead to, and seal the record again."""

    def change(record: dict[str, Any]):
        for name in names:
            record = record[name]
        record.update(changes)

    return lambda path: edit(path, change)


def replaced(old: str, new: str) -> Damage:
    """Change the text of the file, and nothing else."""
    return lambda path: path.write_text(path.read_text().replace(old, new, 1))


def moved(place: str) -> Damage:
    """Move the file to a place below ``runs``."""

    def move(path: Path):
        target = path.parents[2] / place
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)

    return move


def as_pipe(path: Path):
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path):
    path.unlink()
    path.symlink_to(path.name)


EDITED = "its digest is not that of its content: it was edited or damaged"
NAME = "give 1 to 100 bytes without slashes and control characters, not only dots"
MOST = 9007199254740992
DAMAGES: dict[str, tuple[Damage, str]] = {  # what it is: the damage, and what the warning says of the record
    # the file
    "empty": (lambda path: path.write_text(""), "Expecting value: line 1 column 1 (char 0)"),
    "its start": (lambda path: path.write_text("{"), "Expecting property name enclosed in double quotes: line 1 ..."),
    "zeros": (lambda path: path.write_bytes(bytes(100)), "Expecting value: line 1 column 1 (char 0)"),
    "not UTF-8": (lambda path: path.write_bytes(b'"\xff"'), "'utf-8' codec can't decode byte 0xff in position 1: ..."),
    "nested without end": (lambda path: path.write_text(10**5 * "["), "maximum recursion depth exceeded..."),
    "a list": (lambda path: path.write_text("[]"), "it is not that of a finished run"),
    "a pipe": (as_pipe, "cannot read {path}: it is a pipe, not a file"),
    "a link to itself": (as_link, "cannot read {path}: Too many levels of symbolic links"),
    "larger than any record": (lambda path: os.truncate(path, 2**26 + 1), "it has 67108865 bytes, and no record..."),
    # its digest
    "an accuracy edited": (replaced('"test": 0.5', '"test": 0.6'), EDITED),
    "a digit flipped": (replaced('"head": 10', '"head": 11'), EDITED),
    "a field added": (replaced('"history"', '"more": 1,\n "history"'), EDITED),
    "a field that is there twice": (replaced('"digest"', '"key": "other",\n "digest"'), EDITED),
    "no digest": (replaced('"digest"', '"other"'), "it has no digest, so nothing shows that it is as it was written"),
    "a lone surrogate": (replaced('"lora"', '"\\ud800"'), EDITED),
    # what it says of itself
    "an unfinished run": (sealed(status="failed"), "it is not that of a finished run"),
    "another schema": (sealed(schema_version=2), "it has schema version 2, not 1"),
    "another key": (sealed(key="0" * 16), "its key '0000000000000000' is not {key}, that of its spec"),
    "another seed": (sealed("spec", seed=5), "its key '{key}' is not ..."),
    "another option": (sealed("spec", "config", rank=9), "its key '{key}' is not ..."),
    # names that lead elsewhere
    "a suite three folders up": (sealed("spec", suite="../../../up"), f"suite '../../../up' is no name; {NAME}"),
    "a task of two dots": (sealed("spec", task=".."), f"task '..' is no name; {NAME}"),
    "a task without a name": (sealed("spec", task=""), f"task '' is no name; {NAME}"),
    "a task that turns the line": (sealed("spec", task="\u202ea"), f"task '\\u202ea' is no name; {NAME}"),
    "a method with an escape": (sealed("spec", method="\x1b[2J"), f"method '\\x1b[2J' is no name; {NAME}"),
    "a method on another disk": (sealed("spec", method="C:\\lora"), f"method 'C:\\\\lora' is no name; {NAME}"),
    "a long suite": (sealed("spec", suite=101 * "s"), f"suite '{100 * 's'}' is no name; {NAME}"),
    # types
    "a spec that is a text": (sealed(spec="lora"), "spec is 'lora', not an object"),
    "a history that is an object": (sealed(history={}), "history is {{}}, not a list"),
    "no history": (sealed(history=[]), "history has no epoch"),
    "a history of texts": (sealed(history=[{"epoch": "1"}]), "history is not one object of numbers per epoch"),
    "no accuracy": (sealed(accuracy={}), "accuracy.test is None, not a number"),
    "an accuracy that is a text": (sealed("accuracy", test="0.5"), "accuracy.test is '0.5', not a number"),
    "a version of a suite in words": (
        sealed("spec", suite_version="2"),
        "spec.suite_version is '2', not a whole number",
    ),
    "a seed that is true": (sealed("spec", seed=True), "spec.seed is True, not a whole number"),
    "a method that is a list": (sealed("spec", method=["lora"]), "spec.method is ['lora'], not a text"),
    "a backbone without a name": (sealed("spec", "backbone", name=None), "spec.backbone.name is None, not a text"),
    "names of other classes": (sealed(labels=["one"]), "labels are not the names of 10 classes"),
    "names that are numbers": (sealed(labels=list(range(10))), "labels are not the names of 10 classes"),
    "a study without its trials": (sealed(tuning={"study": "s"}), "tuning.trials is None, not a whole number"),
    # numbers that cannot be true
    "more than everything right": (sealed("accuracy", test=1.5), "accuracy.test is 1.5, not from 0 to 1"),
    "an accuracy that is no number": (sealed("accuracy", test=float("nan")), "accuracy.test is nan, not from 0 to 1"),
    "half a sample": (sealed("accuracy", test=0.5005), "accuracy.test is 0.5005, which is 500.500 of 1000 samples"),
    "another test set beyond right": (
        sealed("accuracy", others={"sketch": 1.5}),
        "accuracy.others.sketch is 1.5, not from 0 to 1",
    ),
    "a metric without a name": (sealed("accuracy", metric=3), "accuracy.metric is 3, not a text"),
    "no samples": (sealed("accuracy", test_samples=0), "accuracy.test_samples is 0"),
    "a seed of 64 bits": (sealed("spec", seed=2**63), f"spec.seed is {2**63}, not from 0 to {MOST}"),
    "a seed off the range": (sealed("spec", seed=2**31), f"spec.seed is {2**31}, not from 0 to {2**31 - 1}"),
    "endless epochs": (sealed("spec", "recipe", epochs=10**9), "spec.recipe: epochs=1000000000 must be at most 100000"),
    "another rule": (sealed("accuracy", checkpoint_rule="best_test"), "accuracy.checkpoint_rule is not that of ..."),
    "fewer weights than none": (sealed("params", method=-1), f"params.method is -1, not from 0 to {MOST}"),
    "weights that do not add up": (sealed("params", trainable=9), "params.trainable is 9, not method + head = 110"),
    "a backbone of nothing": (sealed("params", backbone=0), "params.backbone is 0"),
    "endless training": (sealed("cost", train_seconds=float("inf")), "cost.train_seconds is inf, not from 0 to ..."),
    "an unknown modality": (sealed("spec", "backbone", modality="text"), "spec.backbone.modality is 'text', not ..."),
}


@pytest.fixture
def records(specs: Callable[..., list[Spec]], tmp_path: Path) -> list[Path]:
    """The records of two runs."""
    return [store.write(tmp_path, result(spec)) for spec in specs("lora", seeds=(0, 1))]


@pytest.mark.parametrize("name", DAMAGES)
def test_a_bad_record_is_one_warning_and_the_other_is_read(name, records, tmp_path, capsys):
    bad, good = records
    damage, expected = DAMAGES[name]
    key = bad.stem[-16:]
    damage(bad)
    for _ in range(2):  # a command that reads a folder twice complains once
        assert [record["key"] for record in store.each(tmp_path)] == [good.stem[-16:]]
    start, _, rest = expected.format(path=bad, key=key).partition("...")
    line = capsys.readouterr().err
    assert line.startswith(f"warning: record {bad}: {start}"), line
    assert line.endswith("; it is left out\n") and line.count("\n") == 1
    assert rest or "..." in expected or line == f"warning: record {bad}: {start}; it is left out\n"


PLACES = {
    "another name": "offline/digits/best.json",
    "another task": "offline/count/{name}",
    "the name of another method": "offline/digits/linear-s0-{key}.json",
}


@pytest.mark.parametrize("what", PLACES)
def test_a_moved_record_is_named_with_the_place_of_its_run(what, records, tmp_path, capsys):
    bad, good = records
    place = PLACES[what].format(name=bad.name, key=bad.stem[-16:])
    moved(place)(bad)
    assert [record["key"] for record in store.each(tmp_path)] == [good.stem[-16:]]
    line = capsys.readouterr().err
    assert line.startswith(f"warning: record {tmp_path / store.RUNS / place}: ") and line.count("\n") == 1
    assert bad.name in line


def test_a_copy_is_named_and_not_counted(records, tmp_path, capsys):
    copy = tmp_path / store.RUNS / "offline" / "copy" / records[0].name
    copy.parent.mkdir()
    shutil.copy(records[0], copy)
    assert len(store.records(tmp_path)) == 2
    assert capsys.readouterr().err == f"warning: record {copy}: it is a copy of {records[0]}; it is left out\n"


def test_measured_times_of_another_run_show_that_a_record_was_made_from_it(records, tmp_path, capsys):
    for path in records:
        edit(path, lambda record: record["cost"].update(step_ms={"forward": 1.5, "backward": 2.5, "optimizer": 0.5}))
    assert [record["spec"]["seed"] for record in store.each(tmp_path)] == [0]
    first, second = records
    told = f"it has the measured times of {first}, so one is a copy of the other"
    assert capsys.readouterr().err == f"warning: record {second}: {told}; it is left out\n"


def test_the_layout_of_a_file_is_not_its_content(records, tmp_path):
    records[0].write_text(" ".join(records[0].read_text().split()))
    assert len(store.records(tmp_path)) == 2


def test_many_bad_records_are_ten_warnings_and_a_count(specs, tmp_path, capsys):
    for spec in specs("lora", seeds=tuple(range(13))):
        store.write(tmp_path, result(spec)).write_text("{}")
    assert store.records(tmp_path) == []
    warnings = capsys.readouterr().err.splitlines()
    assert len(warnings) == 11
    assert warnings[-1] == f"warning: 3 more records below {tmp_path / store.RUNS} are bad and left out"


def test_hidden_files_are_no_records(records, tmp_path, capsys):
    for name in ("._lora.json", ".git/lora.json", "@eaDir/lora.json"):
        path = records[0].parent / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert len(store.records(tmp_path)) == 2
    assert capsys.readouterr().err == ""


def test_a_seed_of_64_bits_is_refused_before_training(tmp_path, complaint):
    seed = str(2**63)
    line = complaint(run.main, "--methods", "linear", "--tasks", "digits", "--seeds", seed, "--results", str(tmp_path))
    assert line.startswith(f"seed {seed} must be from 0 to ")
    assert not list(tmp_path.iterdir())
