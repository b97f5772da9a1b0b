"""What every method promises, on an image and on a point backbone."""

from __future__ import annotations

import copy
import dataclasses
import json

import optuna
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load, save

import methods
from benchmarks.training import measure
from methods.errors import UserError
from tests.support import tiny

LABELS = torch.tensor([0, 1, 2, 3])
NAMES = sorted(methods.METHODS)
PAIRS = [(name, modality) for name in NAMES for modality in tiny.MODALITIES]
METHODS = pytest.mark.parametrize("name", NAMES)
EVERY = pytest.mark.parametrize(("name", "modality"), [(n, m) for n, m in PAIRS if m in methods.get(n).modalities])
OTHERS = pytest.mark.parametrize(("name", "modality"), [(n, m) for n, m in PAIRS if m not in methods.get(n).modalities])


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def unfrozen(name, body):
    """The backbone parameters that a method says it trains."""
    return {n for n, _ in body.named_parameters() if methods.get(name).unfrozen(n)}


def statistics(body, trained):
    """The BatchNorm statistics that train: those of every BatchNorm whose weight trains."""
    norms = {n: m for n, m in body.named_modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)}
    return {f"{n}.{buffer}" for n, m in norms.items() if f"{n}.weight" in trained for buffer, _ in m.named_buffers()}


def step(model, x, *, lr=0.01):
    loss = model.method.loss(model.train(), x, LABELS, F.cross_entropy)
    loss.backward()
    torch.optim.SGD(model.method.param_groups(model), lr=lr).step()


def gradients(model, x):
    model.zero_grad()
    torch.manual_seed(5)  # for dropout
    model.method.loss(model, x, LABELS, F.cross_entropy).backward()
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def hooks(model):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.backbone.modules())


def same_state(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@EVERY
def test_wiring_leaves_the_backbone_as_it_is(name, modality):
    assert same_state(tiny.wire(name, modality).backbone.state_dict(), tiny.backbone(modality).state_dict())


@EVERY
def test_trainables_are_what_the_method_says(name, modality):
    model = tiny.wire(name, modality)
    own = {f"method.{n}" for n, _ in model.method.named_parameters()} | {"head.weight", "head.bias"}
    expected = own | {f"backbone.{n}" for n in unfrozen(name, model.backbone)}
    assert {n for n, p in model.named_parameters() if p.requires_grad} == expected
    grouped = [p for group in model.method.param_groups(model) for p in group["params"]]
    assert len(grouped) == len(expected)
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad}


@EVERY
def test_every_trainable_gets_a_finite_gradient(name, modality):
    model = tiny.trained(name, modality)
    got = gradients(model, tiny.inputs(modality))
    assert got.keys() == {n for n, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.isfinite().all() for gradient in got.values())
    # nothing attends to the prompt that the last block makes, so it is silent unless the head reads it
    prompt = got.keys() & {f"method.generators.{tiny.DEPTH - 1}.{part}" for part in ("gamma", "beta")}
    silent = set() if model.method.extra_features else prompt
    assert {n for n, gradient in got.items() if not gradient.any()} == silent


@EVERY
def test_a_step_changes_only_what_is_unfrozen(name, modality):
    model = tiny.trained(name, modality)
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    step(model, tiny.inputs(modality))
    changed = {k for k, v in model.backbone.state_dict().items() if not torch.equal(v, before[k])}
    trained = unfrozen(name, model.backbone)
    assert changed == trained | statistics(model.backbone, trained)


@EVERY
def test_output_at_the_start_is_the_frozen_backbones(name, modality):
    model, x = tiny.wire(name, modality), tiny.inputs(modality)
    with torch.no_grad():
        equal = torch.allclose(model.pooled(x), tiny.backbone(modality)(x), rtol=0, atol=0)
    assert equal == methods.get(name).identity_at_start


@EVERY
def test_saved_and_loaded_model_gives_equal_bits(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    other = tiny.wire(name, modality)
    other.load_state_dict(load(save(model.trained_state())), strict=False)
    assert same_state(other.state_dict(), model.state_dict())
    assert torch.equal(other.predict(x), model.predict(x))
    with torch.no_grad():
        assert torch.equal(other(x), model(x))


@EVERY
def test_merge_equals_unmerged(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    with torch.no_grad():
        before, wired = model(x), hooks(model)
        model.method.merge()
        torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-5)
    kept = hooks(model)
    happened = {"yes": kept == 0 and model.method.folded, "no": kept == wired, "in part": 0 < kept < wired}
    assert happened[methods.get(name).merges]
    assert model.method.folded == (methods.get(name).merges == "yes")


@EVERY
def test_detach_gives_the_backbone_back(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    step(model, x)
    model.method.detach()
    original = tiny.backbone(modality)
    assert same_state(model.backbone.state_dict(), original.state_dict())
    assert hooks(model) == 0
    assert not any(p.requires_grad for p in model.backbone.parameters())
    with torch.no_grad():
        assert torch.equal(model.backbone.eval()(x), original(x))


@EVERY
def test_a_deepcopy_is_independent(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    model.method.loss(model, x, LABELS, F.cross_entropy)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        before = model(x)
        assert torch.equal(twin(x), before)
        tiny.move(twin)
        assert not torch.equal(twin(x), before)
        assert torch.equal(model(x), before)
        twin.method.detach()
        assert torch.equal(model(x), before)


@pytest.mark.parametrize(
    ("name", "modality"),
    [
        # each method once by default: tracing takes seconds
        pytest.param(n, m, marks=[pytest.mark.slow] if m == "points" and "image" in methods.get(n).modalities else [])
        for n, m in PAIRS
        if m in methods.get(n).modalities
    ],
)
def test_compiled_equals_eager(name, modality):
    model, x = tiny.trained(name, modality, layers=2), tiny.inputs(modality)  # more layers are slow to trace
    torch._dynamo.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x), rtol=1e-5, atol=1e-5)


@EVERY
def test_checkpointing_gives_equal_gradients(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    model.method.train()  # dropout is drawn again, and must be the same
    plain = gradients(model, x)
    model.backbone.set_grad_checkpointing(True)
    kept = gradients(model, x)
    assert kept.keys() == plain.keys()
    for key in plain:
        torch.testing.assert_close(kept[key], plain[key], rtol=1e-5, atol=1e-6)


@EVERY
def test_its_operations_can_be_counted(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    forward = measure.forward_flops(model, x)
    training = measure.training_flops(model, x, LABELS, lambda m, x, y: m.method.loss(m, x, y, F.cross_entropy))
    assert 0 < forward < training


@METHODS
def test_suggested_config_builds(name):
    cls = methods.get(name).Config
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(5):
        trial = study.ask()
        config = cls.suggest(trial)
        assert {"lr", "weight_decay"} <= trial.params.keys()
        for modality in methods.get(name).modalities:
            methods.build(name, tiny.backbone(modality), config)


@METHODS
def test_config_survives_json(name):
    config = methods.get(name).Config(lr=0.123)
    assert methods.config(name, json.loads(json.dumps(dataclasses.asdict(config)))) == config


@OTHERS
def test_a_backbone_of_another_modality_is_one_clear_line(name, modality):
    body, config = tiny.backbone(modality), methods.config(name, {})
    allowed = " and ".join(sorted(methods.get(name).modalities))
    with pytest.raises(UserError) as error:
        methods.build(name, body, config)
    kind = type(body).__name__
    assert str(error.value) == f"method '{name}' works on {allowed} only; {kind} is of modality {modality}"
