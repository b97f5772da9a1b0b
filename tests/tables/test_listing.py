"""The list of runs, with the keys by which other verbs name them."""

import os

import pytest

from benchmarks import runs
from benchmarks.records import packs, store
from tests.support.made_records import result


def test_runs_of_others_are_not_listed(made, capsys):
    folder, keys = made
    packed = {packs.path_of(record): record for record in store.records(folder)}
    packs.write(packed, folder / packs.FOLDER / "alice.zip")
    assert len(listed(capsys, "--results", str(folder))) == len(keys)


@pytest.fixture
def made(specs, tmp_path):
    """Runs of two methods in a folder; the last one has an option of its own and is the oldest."""
    wanted = [*specs("lora", "linear"), *specs("lora", seeds=(1,), set={"lora": {"rank": 4}})]
    for number, spec in enumerate(wanted):
        path = store.write(tmp_path, result(spec, accuracy=0.5 + number / 100))
        os.utime(path, (86_400 * (5 - number),) * 2)
    return tmp_path, [spec.key for spec in wanted]


def listed(capsys, *words):
    assert runs.main([*words]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "1970" in line]
    return [line[:-2] for line in lines]


def test_a_row_has_the_key_and_what_tells_the_run_apart(made, capsys):
    folder, (lora, linear, four) = made
    rows = [
        [four[:8], "lora", "rank=4", "digits", "1", "52.0%"],
        [linear[:8], "linear", "digits", "0", "51.0%"],
        [lora[:8], "lora", "digits", "0", "50.0%"],
    ]
    assert listed(capsys, "--results", str(folder)) == rows
    assert listed(capsys, "--results", str(folder), "--method", "lora") == [rows[0], rows[2]]
    assert listed(capsys, "--results", str(folder), "--task", "digits", "--seeds", "1") == [rows[0]]
    assert store.find(folder, four[:8])["key"] == four


def test_what_no_run_is_of_is_one_line(made, complaint):
    folder = str(made[0])
    line = complaint(runs.main, "--results", folder, "--methods", "loar")
    assert line == "unknown method 'loar'; did you mean 'lora'? known: linear, lora"
    line = complaint(runs.main, "--results", folder, "--methods", "linear", "--seeds", "1")
    assert line == "none of 3 runs is of all that was asked for; ask for less"
