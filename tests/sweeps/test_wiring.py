"""A method that cannot act on a backbone is refused before the first run, and left out of all methods."""

from functools import partial

import pytest
import torch

import methods
from benchmarks.sweeps import sweep, wiring
from benchmarks.training import model
from methods.errors import UserError

GATED = "aimv2_large_patch14_224"  # its FFN is a SwiGLU, and its width is no multiple of Adapter-X's heads
LACKS = "unknown linear of the blocks of this backbone 'fc1'; did you mean 'fc1_x'? known: fc1_g, fc1_x, fc2, proj, qkv"
UNEVEN = "widths (1024, 2816) must be multiples of the token's 1024"


def plan(*methods, **options):
    asked = sweep.Sweep(methods=methods, tasks=("digits",), backbone=(GATED,), set=options)
    return {spec.method for spec in sweep.specs(asked, "float32", absent=True)}


def misfit(method, **options):
    return wiring.misfit("vit_nano", method, methods.config(method, options))


def test_a_method_asked_for_by_name_is_refused():
    with pytest.raises(UserError) as error:
        plan("linear", "fact_tt")
    assert str(error.value) == f"backbone '{GATED}': fact: {UNEVEN}"


def test_a_target_that_the_blocks_lack_is_refused():
    assert plan("lora") == {"lora"}
    with pytest.raises(UserError) as error:
        plan("lora", lora={"targets": ["q", "fc1"]})
    assert str(error.value) == f"backbone '{GATED}': lora: target fc1: {LACKS}"


@pytest.mark.usefixtures("no_passes")
def test_all_methods_are_those_that_fit(capsys):
    fit, every = plan("all"), sweep.specs(sweep.Sweep(methods=("all",), tasks=("digits",)), "float32")
    out = {spec.method for spec in every} - fit
    assert out == {"adapterx", "fact_tk", "fact_tt"}
    lines = capsys.readouterr().err.splitlines()
    assert {line.partition("'")[2].partition("'")[0] for line in lines} == out
    assert all(line.startswith("warning: method '") and "is left out: backbone" in line for line in lines)


def test_weights_larger_than_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr(wiring.os, "sysconf", {"SC_PHYS_PAGES": 2_000_000, "SC_PAGE_SIZE": 4096}.__getitem__)
    # 12 blocks, 2 projections with 96 + 96 weights per rank each
    assert misfit("lora", rank=1_000_000) == (
        "backbone 'vit_nano': lora: 4,608,000,000 trained parameters need 18 GB, but this machine has 8 GB; "
        "give smaller options"
    )
    assert misfit("lora", rank=100_000) is None


@pytest.mark.parametrize("method", ["linear", "full", "norm", "lora", "noah", "hf:lora"])
def test_the_parameters_of_a_plan_are_those_of_a_run(method, specs):
    (spec,) = specs(method)
    count = partial(wiring.trained, spec.backbone.name, method, spec.config)
    assert count() == model.build(spec).count()["method"]
    fresh = 0 if method == "full" else 96  # of what the backbone's weights lack, no parameter counts twice
    assert count(frozenset({"cls_token"})) == count() + fresh


@pytest.mark.parametrize("method", ["lora", "hf:lora"])
def test_no_random_number_is_drawn(method):
    before = torch.random.get_rng_state()
    assert misfit(method, lr=0.123) is None
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_bug_in_a_method_is_left_to_its_run(monkeypatch):
    monkeypatch.setattr(methods, "build", lambda *given: 1 / 0)
    assert misfit("linear", lr=0.321) is None
