"""The offline suite: it is as its table says, its splits share no sample, and its bytes are always the same."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from benchmarks import data, suites
from benchmarks.files.contents import digest
from benchmarks.suites import checking, offline, offline_images

SUITE = suites.get("offline")


@pytest.mark.parametrize("task", SUITE.tasks)
def test_data_is_what_the_table_says(task):
    assert checking.faults(SUITE, task) == []
    x, _ = SUITE.load(task, "test", frame=None)
    assert len(x) >= 1000


@pytest.mark.parametrize("task", SUITE.tasks)
def test_no_sample_is_in_two_splits(task):
    rows = {
        split: {row.numpy().tobytes() for row in SUITE.load(task, split, frame=None)[0]}
        for split in ("train", "val", "test")
    }
    assert not rows["train"] & rows["val"] and not (rows["train"] | rows["val"]) & rows["test"]


def test_data_is_the_same_when_it_is_drawn_again():
    prints = {task: SUITE.fingerprint(task) for task in SUITE.tasks}
    offline.arrays.cache_clear()
    assert {task: digest(offline.arrays(task)) for task in SUITE.tasks} == prints
    assert len(set(prints.values())) == len(prints)


def test_a_recipe_that_is_asked_for_replaces_that_of_the_suite(specs):
    asked = [specs("linear"), specs("linear", recipe={"batch_size": 32})]
    assert [spec.recipe.batch_size for (spec,) in asked] == [16, 32]


@pytest.mark.parametrize("task", ["digits", "solids"])
def test_show_draws_a_picture(task, tmp_path):
    path = tmp_path / "sheet.png"
    assert data.main(["show", task, "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_real_digits_are_those_of_scikit_learn():
    with np.load(offline_images.REAL_DIGITS) as ours:
        images, labels = load_digits().images, load_digits().target
        assert (ours["images"] == images).all() and (ours["labels"] == labels).all()


def test_a_missing_sample_is_a_fault(monkeypatch):
    whole = offline.arrays("count")
    x, y = whole["train"]
    broken = {**whole, "train": (x[:-1], y[:-1])}
    monkeypatch.setattr(offline, "arrays", lambda task: broken)
    assert any("count/train: 159 inputs" in line for line in checking.faults(SUITE, "count"))
