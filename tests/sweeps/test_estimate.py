"""The estimates of a dry run: what records tell is not measured, and options that change the time are told apart."""

import pytest
import torch

from benchmarks import run
from benchmarks.records import store
from benchmarks.sweeps import estimate, wiring
from tests.support.made_records import result

CPU = torch.device("cpu")
SAMPLES = 200  # of every image task of the offline suite


@pytest.fixture
def measured(monkeypatch):
    """The runs that are measured; each is said to take 1 s per sample and epoch."""
    found = []
    monkeypatch.setattr(estimate, "_measured", lambda spec, device: found.append(spec) or 1.0)
    return found


def test_what_records_tell_is_not_measured(specs, tmp_path, measured):
    noah = {"noah": {"supernet_epochs": 2}}
    (known,) = specs("noah", set=noah)
    store.write(tmp_path, result(known))  # it took 1 s
    same = specs("noah", set={"noah": {**noah["noah"], "lr": 0.5}}, tasks=("count",), seeds=(3,))
    others = [*specs("noah"), *specs("noah", set={"noah": {"supernet_epochs": 50}}), *specs("noah", seeds=(4,))]
    estimates = estimate.Estimates(tmp_path, CPU)
    usual, many = (SAMPLES * wiring.passes("vit_nano", "noah", spec.config, 1) for spec in others[:2])
    assert [estimates.seconds(spec) for spec in (*same, *others)] == [1.0, usual, many, usual]
    assert measured == others[:2]


def test_an_epoch_is_measured_once_and_a_run_takes_as_long_as_its_epochs(specs, tmp_path, measured):
    recipes = [{"epochs": epochs, "warmup_epochs": 1, "checkpoint_rule": "last"} for epochs in (4, 20)]
    short, long = (specs("lora", "norm", recipe=recipe, seeds=(0, 1)) for recipe in recipes)
    estimates = estimate.Estimates(tmp_path, CPU)
    assert [estimates.seconds(spec) / SAMPLES for spec in (*short, *long)] == [4] * 4 + [20] * 4
    assert {spec.method for spec in measured} == {"lora", "norm"} and len(measured) == 2


def test_records_of_other_devices_tell_nothing():
    name = "cpu: AMD EPYC"
    assert estimate._same_device({"device": name}, CPU) and estimate._same_device({}, CPU)
    assert not estimate._same_device({"device": "NVIDIA H200"}, CPU)


@pytest.mark.parametrize("name", ["noah", "glora"])
def test_the_options_of_a_search_count(name, specs):
    few, many = (specs(name, set={name: {"supernet_epochs": epochs}})[0] for epochs in (1, 60))
    costs = [wiring.passes("vit_nano", name, spec.config, 10) for spec in (few, many)]
    assert costs[1] - costs[0] == 59


def test_rows_are_named_as_in_the_leaderboard_and_a_rate_divides(tmp_path, measured, capsys):
    words = ["--methods", "lora", "--tasks", "digits", "--set", "lora.rank=[4,8]", "--recipe", "epochs=[20,40]"]
    assert run.main([*words, "--seeds", "0", "1", "2", "--results", str(tmp_path), "--dry-run", "--rate", "20"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        ("lora rank=4, epochs=20", "3", "10 min"),
        ("lora rank=4, epochs=40", "3", "20 min"),
        ("lora, epochs=20", "3", "10 min"),
        ("lora, epochs=40", "3", "20 min"),
    ]
    assert "on a device 20 times as fast as cpu" in out and len(measured) == 2


def test_a_rate_belongs_to_a_dry_run(complaint):
    assert "add --dry-run" in complaint(run.main, "--rate", "2")
    assert "must be positive" in complaint(run.main, "--rate", "-2", "--dry-run")
