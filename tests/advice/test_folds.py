"""Folds of small data: every sample is held out once, every class in every fold, and the test split is not read."""

import numpy as np
import pytest
import torch

from benchmarks.advice import folds
from benchmarks.advice.judging import Judged, together
from benchmarks.suites import Task

Y = torch.tensor([0] * 10 + [1] * 10 + [2] * 3)


def load(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    chosen = {"train": slice(0, 18), "val": slice(18, 23)}[split]
    return torch.arange(23)[chosen], Y[chosen]


def task(val: int) -> Task:
    counts = {"train": 500, "val": val, "test": 9}
    return Task(name="t", modality="image", labels=("a", "b"), group="g", source="s", licence="l", **counts)


def test_few_validation_samples_are_replaced_by_folds():
    assert [folds.folds(task(val)) for val in (20, 99, 100, 1000)] == [3, 3, 1, 1]


def test_every_sample_is_held_out_once_and_every_class_in_every_fold():
    parts = [folds.held_out(load, 0, fold) for fold in range(3)]
    held = [part("val")[0] for part in parts]
    assert sorted(torch.cat(held).tolist()) == list(range(23))
    for part, own in zip(parts, held, strict=True):
        x, y = part("train")
        assert sorted([*x.tolist(), *own.tolist()]) == list(range(23))
        assert torch.equal(y, Y[x]) and set(y.tolist()) == {0, 1, 2} == set(Y[own].tolist())


def test_another_seed_gives_other_folds():
    assert not np.array_equal(folds.numbers(Y, 0), folds.numbers(Y, 1))
    assert np.array_equal(folds.numbers(Y, 1), folds.numbers(Y, 1))


def test_a_fold_refuses_the_test_split():
    with pytest.raises(AssertionError, match="test split"):
        folds.held_out(load, 0, 0)("test")


def test_judgements_of_folds_come_in_the_order_of_the_data(monkeypatch):
    monkeypatch.setattr("benchmarks.advice.judging.without_test", lambda spec: load)
    spec = type("Run", (), {"seed": 0})()
    parts = [Judged(samples=tuple(folds.held_out(load, 0, fold)("val")[0].tolist()), params=5) for fold in range(3)]
    assert together(parts, spec) == Judged(samples=tuple(map(float, range(23))), params=5)
