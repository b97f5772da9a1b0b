"""What ``fit`` leaves is wired again from the report of a record, so that its parameters are counted without data."""

import json

import pytest
import torch

import methods
from methods.base import Method
from methods.errors import UserError
from tests.support import tiny

SMALL = {"supernet_epochs": 1, "population": 2, "parents": 1, "mutants": 1, "crossovers": 1, "rounds": 1}
SENSITIVE = {"share": 0.05, "rank": 1, "matrix_ratio": 1}  # on the tiny ViT some matrices get modules and some do not
OPTIONS = {"noah": {"widths": (1, 3), **SMALL}, "glora": SMALL, "gps": {"inputs": 2}}
OPTIONS |= dict.fromkeys(("spt_lora", "spt_adapter"), SENSITIVE)
STAGED = sorted(name for name in methods.METHODS if methods.get(name).fit is not Method.fit)


def wire(name):
    kind = "image" if "image" in methods.get(name).modalities else "points"
    return tiny.wire(name, kind, **OPTIONS.get(name, {})), kind


def fitted(name):
    """A trained model of a method, and its report as a record has it."""
    model, kind = wire(name)
    data = {split: (tiny.inputs(kind, 8), torch.arange(8) % 2) for split in ("train", "val")}
    trainer = tiny.trainer(model, data.__getitem__, epochs=1)
    model.method.fit(trainer)
    return model, json.loads(json.dumps(model.method.report(trainer)))


@pytest.mark.parametrize("name", STAGED)
def test_a_fresh_wiring_settles_to_the_count_of_what_was_trained(name):
    model, report = fitted(name)
    fresh, _ = wire(name)
    untold = fresh.method.settle(report)
    assert fresh.count() == model.count()
    expected = {"spt_lora", "spt_adapter"}  # of single weights, whose number says nothing of their places
    assert bool(untold) == (name in expected)


NOAH = {"adapter": [3, 1, 0], "lora": [3, 0, 0], "prompts": [1, 3, 0]}


def test_noah_settles_to_the_widths_of_its_report():
    model, _ = wire("noah")
    model.method.settle({"architecture": NOAH})
    widths = {name: [module.width for module in getattr(model.method, name)] for name in NOAH}
    assert widths == NOAH


@pytest.mark.parametrize(
    ("name", "report", "told"),
    [
        ("noah", {}, "architecture is no subnet"),
        ("noah", {"architecture": NOAH | {"lora": [3, 0]}}, "architecture is no subnet"),
        ("noah", {"architecture": NOAH | {"lora": [2, 0, 0]}}, "architecture is no subnet"),
        ("noah", {"architecture": NOAH | {"lora": [0, 3, 0]}}, "architecture is no subnet"),
        ("noah", {"architecture": NOAH | {"lora": ["3", 0, 0]}}, "architecture is no subnet"),
        ("glora", {"architecture": {"qkv A": [0, 0, 0]}}, "architecture is no subnet"),
        ("spt_lora", {"selection": 5}, "tells no modules"),
        ("spt_lora", {"selection": {"modules": [["q"]], "params": 9}}, "tells no modules"),
        ("spt_lora", {"selection": {"modules": [], "params": 10**9}}, "params is 1,000,000,000, with 0 parameters of"),
    ],
)
def test_a_report_that_no_fit_makes_is_refused(name, report, told):
    with pytest.raises(UserError, match=told):
        wire(name)[0].method.settle(report)


def test_a_subnet_over_the_budget_is_refused():
    model = tiny.wire("noah", "image", widths=(1, 3), max_params=100, **SMALL)
    with pytest.raises(UserError, match="over max_params"):
        model.method.settle({"architecture": NOAH})
