"""The offline suite: as its table says, apart in its splits, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import data, suites
from benchmarks.files.contents import CACHE
from benchmarks.suites import offline

SUITE = suites.get("offline")


@pytest.mark.parametrize("task", SUITE.tasks)
def test_data_is_what_the_table_says(task: str) -> None:
    assert data.faults(SUITE, task) == []
    x, _ = SUITE.load(task, "test", size=None)
    assert len(x) >= 1000


@pytest.mark.parametrize("task", SUITE.tasks)
def test_no_sample_is_in_two_splits(task: str) -> None:
    rows = {
        split: {row.numpy().tobytes() for row in SUITE.load(task, split, size=None)[0]}
        for split in ("train", "val", "test")
    }
    assert not rows["train"] & rows["val"] and not (rows["train"] | rows["val"]) & rows["test"]


def test_data_is_the_same_when_it_is_made_again() -> None:
    before = {task: offline.digest(task) for task in SUITE.tasks}
    offline.arrays.cache_clear()
    assert {task: offline.digest(task) for task in SUITE.tasks} == before
    assert len(set(before.values())) == len(before)


def test_fingerprints_are_those_of_the_data_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    offline.fingerprint.cache_clear()
    assert SUITE.fingerprint("digits") == offline.digest("digits")
    offline.fingerprint.cache_clear()
    monkeypatch.setattr(offline, "arrays", None)
    remembered = SUITE.fingerprint("digits")
    (kept,) = (tmp_path / "fingerprints").iterdir()
    assert kept.read_text() == remembered
    offline.fingerprint.cache_clear()


@pytest.mark.parametrize("task", ["digits", "solids"])
def test_show_draws_a_picture(task: str, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    assert data.main(["show", task, "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["show", "digit", "-o", "x.png"], "did you mean 'digits'"),
        (["show", "digits", "-o", "x.doc"], ".png"),
        (["verify", "ofline"], "did you mean 'offline'"),
        (["show", "digits", "-o", "/proc/nowhere/x.png"], "/proc/nowhere"),
    ],
)
def test_wrong_input_is_one_line(argv: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_damage_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = offline.arrays("count")
    x, y = whole["train"]
    broken = {**whole, "train": (x[:-1], y[:-1])}
    monkeypatch.setattr(offline, "arrays", lambda task: broken)
    assert any("count/train: 159 inputs" in line for line in data.faults(SUITE, "count"))
