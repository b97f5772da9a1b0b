"""Recorded runs are trained again and compared: equal to the bit, within the spread of seeds, or off."""

import math
import shutil

import pytest
import torch

from benchmarks import reproduce
from benchmarks.executors import local
from benchmarks.executors.place import Listeners, Place
from benchmarks.records import store
from benchmarks.sweeps import reproduction
from benchmarks.training.environment import device_name, environment
from methods import METHODS
from methods.errors import UserError
from tests.support import quick_suite
from tests.support.edited import edit
from tests.support.made_records import record, result

QUICK = store.records(quick_suite.FOLDER)  # one short run of every method
PLACE = Place(executor="local", device=torch.device("cpu"), workers=1)


@pytest.fixture(scope="module")
def trained(specs, tmp_path_factory):
    """A folder with two seeds of one epoch, and their specs."""
    folder, made = tmp_path_factory.mktemp("trained"), specs("linear", seeds=(0, 1))
    assert not local.execute(made, folder, PLACE, Listeners(), again=False, fail_fast=True).failed
    return folder, made


@pytest.fixture
def runs(trained, tmp_path, one_thread):
    """The same, to be edited."""
    return shutil.copytree(trained[0], tmp_path / "runs"), trained[1]


def test_a_run_comes_out_equal_to_the_bit(runs, capsys):
    folder, specs = runs
    assert reproduce.main(["--results", str(folder)]) == 0
    out = capsys.readouterr().out
    assert all(spec.key in out for spec in specs)
    assert "2 records: 2 equal to the bit, 0 within the spread of seeds, 0 off" in out


def test_a_record_of_another_folder_is_one_line(runs, complaint, tmp_path):
    folder, specs = runs
    other = store.write(tmp_path / "other", result(specs[0]))
    store.record_path(folder, specs[0]).unlink()
    line = complaint(reproduce.main, str(other), "--results", str(folder))
    assert line == f"{other}: not among the records in {folder}; name its --results DIR"


@pytest.mark.parametrize(
    ("accuracies", "status", "verdict"),
    [
        ((0.2, 0.9), 0, "0 equal to the bit, 1 within the spread of seeds, 0 off"),
        ((0.1, 0.101), 1, "0 equal to the bit, 0 within the spread of seeds, 1 off"),
    ],
)
def test_other_numbers_are_judged_by_the_spread_of_the_recorded_seeds(runs, capsys, accuracies, status, verdict):
    folder, specs = runs
    for spec, accuracy in zip(specs, accuracies, strict=True):
        edit(store.record_path(folder, spec), lambda content, test=accuracy: content["accuracy"].update(test=test))
    assert reproduce.main([specs[0].key, "--results", str(folder)]) == status
    assert verdict in capsys.readouterr().out


def test_spread_is_that_of_seeds_or_of_one_test_split(specs):
    first, second = specs("linear", seeds=(0, 1))
    (alone,) = specs("bitfit")
    records = [record(first, 0.5, 1), record(second, 0.7, 1), record(alone, 0.5, 1)]
    t_of_one_degree, normal = 12.706204736, 1.959963985
    of_seeds = t_of_one_degree * math.sqrt(2) * math.sqrt(0.02)
    expected = {first.key: of_seeds, second.key: of_seeds, alone.key: normal * math.sqrt(2 * 0.25 / 1000)}
    assert reproduction.spreads(records) == pytest.approx(expected)


def test_the_cheapest_run_of_every_method_is_chosen(specs):
    slow, other, quick = (record(spec, 0.5, 1) for spec in specs("linear", "bitfit", seeds=(0, 1))[:3])
    for one, seconds in ((slow, 3.0), (quick, 2.0), (other, 1.0)):
        one["cost"]["train_seconds"] = seconds
    assert reproduction.cheapest([slow, quick, other]) == [other, quick]


def test_a_sample_depends_on_its_seed_and_has_each_record_once():
    records = [{"key": key} for key in range(20)]
    first = reproduction.sample(records, 8, 7)
    assert first == reproduction.sample(records, 8, 7) != reproduction.sample(records, 8, 8)
    assert len({one["key"] for one in first}) == 8
    with pytest.raises(UserError, match=r"^--sample 21 must be from 1 to 20, the number of records$"):
        reproduction.sample(records, 21, 7)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"data_fingerprint": "0" * 64}, "the data of digits here are not those of the record"),
        ({"suite_version": 7}, "suite offline has version 2 here, and 7 in the record"),
    ],
)
def test_other_inputs_are_one_line(specs, tmp_path, change, told):
    (spec,) = specs("linear")
    content = record(spec, 0.5, 1)
    content["spec"] = content["spec"] | change
    with pytest.raises(UserError, match=rf"^linear on digits, seed 0: {told}$"):
        reproduction.repeat(content, 0.1, tmp_path)


def test_a_short_run_of_every_method_is_committed():
    assert {one["spec"]["method"] for one in QUICK} == set(METHODS)


@pytest.mark.parametrize("one", QUICK, ids=[one["spec"]["method"] for one in QUICK])
def test_the_committed_short_run_of_a_method_comes_out_again(one, small_suite, tmp_path, one_thread):
    again = reproduction.repeat(one, reproduction.spreads([one])[one["key"]], tmp_path)
    here = environment() | {"device": device_name(torch.device("cpu"))}
    alike = all(here[name] == one["environment"][name] for name in ("device", "packages"))
    assert again.verdict in (("equal",) if alike else ("equal", "within"))
