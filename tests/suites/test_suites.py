"""The offline suite: it is as its table says, its splits share no sample, and its bytes are always the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks import data, suites
from benchmarks.files.contents import CACHE
from benchmarks.files.digest import digest
from benchmarks.suites import checking, offline
from tests.conftest import Complaint

SUITE = suites.get("offline")


@pytest.mark.parametrize("task", SUITE.tasks)
def test_data_is_what_the_table_says(task: str) -> None:
    assert checking.faults(SUITE, task) == []
    x, _ = SUITE.load(task, "test", size=None)
    assert len(x) >= 1000


@pytest.mark.parametrize("task", SUITE.tasks)
def test_no_sample_is_in_two_splits(task: str) -> None:
    rows = {
        split: {row.numpy().tobytes() for row in SUITE.load(task, split, size=None)[0]}
        for split in ("train", "val", "test")
    }
    assert not rows["train"] & rows["val"] and not (rows["train"] | rows["val"]) & rows["test"]


def test_data_is_the_same_when_it_is_drawn_again() -> None:
    prints = {task: SUITE.fingerprint(task) for task in SUITE.tasks}
    assert {task: digest(offline.draw(task)) for task in SUITE.tasks} == prints
    assert len(set(prints.values())) == len(prints)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where drawn data are kept, empty."""
    monkeypatch.setenv(CACHE, str(tmp_path))
    offline.arrays.cache_clear()
    yield tmp_path / "offline"
    offline.arrays.cache_clear()


@pytest.mark.parametrize("task", ["digits", "solids"])
def test_data_is_drawn_once_per_machine(task: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = offline.arrays(task)
    offline.arrays.cache_clear()  # as in another process
    monkeypatch.setattr(offline, "draw", None)
    kept = offline.arrays(task)
    assert digest(kept) == digest(drawn) == SUITE.fingerprint(task)
    assert {(x.dtype, y.dtype) for x, y in kept.values()} == {(x.dtype, y.dtype) for x, y in drawn.values()}


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: data[:-1] + bytes([data[-1] ^ 1]), lambda data: b""]
)
def test_damaged_data_are_drawn_again(damage: Callable[[bytes], bytes], cache: Path) -> None:
    offline.arrays("digits")
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    offline.arrays.cache_clear()
    assert digest(offline.arrays("digits")) == SUITE.fingerprint("digits")
    assert file.read_bytes() == whole


def test_data_are_drawn_if_the_cache_cannot_be_written(cache: Path) -> None:
    cache.write_bytes(b"")  # a file in the folder's place
    assert digest(offline.arrays("digits")) == SUITE.fingerprint("digits")


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
def test_wrong_input_is_one_line(argv: list[str], part: str, complaint: Complaint) -> None:
    assert part in complaint(data.main, *argv)


def test_a_missing_sample_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = offline.arrays("count")
    x, y = whole["train"]
    broken = {**whole, "train": (x[:-1], y[:-1])}
    monkeypatch.setattr(offline, "arrays", lambda task: broken)
    assert any("count/train: 159 inputs" in line for line in checking.faults(SUITE, "count"))
