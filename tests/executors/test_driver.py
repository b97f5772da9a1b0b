"""The driver: it starts the longest runs first, and shares a results folder with other drivers."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pytest import TempPathFactory

from benchmarks.executors import attempt, claims, driver, schedule
from benchmarks.executors.attempt import OnEpoch, Outcome
from benchmarks.executors.place import Listeners, Place, ignore
from benchmarks.records import store
from benchmarks.records.spec import Spec
from tests.conftest import Specs
from tests.support.edited import edit

PLACE = Place(executor="local", device=torch.device("cpu"), workers=1)


def complete(
    todo: list[Spec], results: Path, *, on_wait: OnEpoch = ignore, again: bool = False
) -> tuple[Outcome, list[Spec], list[Spec]]:
    """Return the outcome, the runs that ended here, and the runs that another driver finished."""
    ended, elsewhere = list[Spec](), list[Spec]()
    listeners = Listeners(on_end=ended.append, on_wait=on_wait, on_other=elsewhere.append)
    return driver.complete(todo, results, PLACE, listeners, again=again, fail_fast=False), ended, elsewhere


@pytest.fixture(scope="module")
def alone(specs: Specs, tmp_path_factory: TempPathFactory) -> Path:
    """The results of a single driver."""
    results = tmp_path_factory.mktemp("alone")
    assert complete(specs("linear", "norm"), results)[0] == Outcome()
    return results


def test_runs_of_unknown_length_come_first_then_the_longest(alone, tmp_path, specs):
    shutil.copytree(alone / store.RUNS, tmp_path / store.RUNS)
    for path in (tmp_path / store.RUNS).rglob("*.json"):
        seconds = 20 if path.name.startswith("norm") else 10
        edit(path, lambda record, seconds=seconds: record["cost"].update(train_seconds=seconds))
    linear, norm, lora = specs("linear", "norm", "lora")
    again = [replace(spec, seed=1) for spec in (linear, norm)]
    other = replace(norm, recipe=replace(norm.recipe, epochs=9))
    found = schedule.longest_first([linear, norm, *again, other, lora], tmp_path)
    assert found == [other, lora, norm, again[1], linear, again[0]]


def test_a_new_kind_starts_first_then_the_longest_and_a_run_that_died_last(specs):
    linear, norm, lora = specs("linear", "norm", "lora")
    seconds = {schedule.kind(linear): 3.0, schedule.kind(norm): 9.0}
    again, died = replace(linear, seed=1), replace(norm, seed=1)
    waiting, taken = [died, linear, again, norm, lora], list[Spec]()
    while waiting:
        taken.append(schedule.take(waiting, seconds, {died: 1}))
    assert taken == [lora, norm, linear, again, died]


def test_the_driver_waits_for_a_claimed_run_and_does_not_repeat_it(alone, tmp_path, specs, numbers):
    linear, norm = specs("linear", "norm")
    lease, shown = claims.take(tmp_path, linear), list[str]()
    store.write_trace(tmp_path, linear, "started", "", progress={"stage": "train", "epoch": 3, "epochs": 7})

    def on_wait(spec: Spec, epoch: dict[str, object]):
        shown.append(f"{epoch['stage']} {epoch['epoch']}/{epoch['epochs']}")
        path = store.record_path(tmp_path, linear)  # the other driver writes it
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(store.record_path(alone, linear), path)

    outcome, ended, elsewhere = complete([linear, norm], tmp_path, on_wait=on_wait)
    lease.release()
    assert outcome == Outcome(others=[linear])
    assert (ended, elsewhere) == ([norm], [linear])
    assert shown[0].startswith(f"train, by process {os.getpid()} on ")
    assert shown[0].endswith(" 3/7")
    assert numbers(tmp_path) == numbers(alone)


def test_a_run_that_another_driver_gives_up_is_executed_here(alone, tmp_path, specs, numbers):
    linear, norm = specs("linear", "norm")
    lease = claims.take(tmp_path, linear)
    waited: list[Spec] = []

    def on_wait(spec: Spec, epoch: object):
        waited.append(spec)
        lease.release()

    outcome, ended, elsewhere = complete([linear, norm], tmp_path, on_wait=on_wait)
    assert (outcome, ended, elsewhere, waited) == (Outcome(), [norm, linear], [], [linear])
    assert numbers(tmp_path) == numbers(alone)


def test_a_record_that_appeared_meanwhile_is_only_made_again_on_request(alone, tmp_path, specs):
    shutil.copytree(alone / store.RUNS, tmp_path / store.RUNS)
    (linear,) = specs("linear")
    path = store.record_path(tmp_path, linear)
    before = path.stat().st_mtime_ns
    assert complete([linear], tmp_path)[0] == Outcome(others=[linear])
    assert path.stat().st_mtime_ns == before
    assert complete([linear], tmp_path, again=True)[0] == Outcome()
    assert path.stat().st_mtime_ns > before


def test_the_trace_of_a_run_shows_its_last_epoch(tmp_path, specs, monkeypatch):
    monkeypatch.setattr(attempt, "TRACE_SECONDS", 0)
    (short,) = specs("norm")
    norm, shown = replace(short, recipe=replace(short.recipe, epochs=2)), list[object]()

    def on_epoch(epoch: object):
        shown.append((store.read_trace(tmp_path, norm) or {})["progress"])

    assert attempt.attempt(norm, tmp_path, torch.device("cpu"), on_epoch) is None
    assert shown == [None, {"stage": "train", "epoch": 1, "epochs": 2}]
