"""VPT, shallow and deep."""

import optuna
import pytest
import torch
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.training import measure
from benchmarks.training.model import Classifier
from methods.parts.layers import Prompts
from tests.support import loops, tiny

BOTH = pytest.mark.parametrize("name", ["vpt_shallow", "vpt_deep"])


@pytest.mark.parametrize("prompts", [1, 10, 50, 100])
def test_counts_equal_the_closed_form_and_the_published(prompts):
    assert tiny.count("vpt_shallow", prompts=prompts) == prompts * 768
    assert tiny.count("vpt_deep", prompts=prompts) == 12 * prompts * 768
    assert (tiny.count("vpt_shallow"), tiny.count("vpt_deep")) == (38_400, 460_800)


def last_tokens(body, modality, x, own):
    """Tokens (B, N, D) after the last block; ``own`` holds the prompts (P, D) that each block reads, or None."""
    h, positions = (loops.image_tokens(body, x), 0) if modality == "image" else loops.point_tokens(body, x)
    count, prompts = h.shape[1], None
    for layer in range(len(body.blocks)):
        if own[layer] is not None:
            prompts = own[layer].expand(len(x), -1, -1)
        h = loops.block(body, layer, torch.cat([h + positions, prompts], dim=1))
        h, prompts = h[:, :count], h[:, count:]
    return h


def prompts_of(name, method):
    if name == "vpt_shallow":
        return [method.prompts.prompts] + [None] * (tiny.DEPTH - 1)
    return [part.prompts for part in method.prompts]


@BOTH
@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("prompts", [1, 6])
def test_output_equals_the_equations(name, modality, prompts):
    model, x = tiny.trained(name, modality, prompts=prompts), tiny.inputs(modality, 2)
    body = tiny.backbone(modality)
    with torch.no_grad():
        h = loops.norm(body.norm, last_tokens(body, modality, x, prompts_of(name, model.method)))
        pooled = h[:, 0] if modality == "image" else loops.pooled_points(h)
        tiny.close(model.pooled(x), pooled)


@BOTH
def test_a_mean_pooled_vit_averages_patches_only(name):
    body = tiny.vit(global_pool="avg")
    model = tiny.move(
        Classifier(
            body, methods.build(name, backbones.describe(body), methods.config(name, {"prompts": 6})), nn.Identity()
        )
    )
    x = tiny.inputs("image", 2)
    with torch.no_grad():
        pooled = model.eval().pooled(x)
        patches = last_tokens(body, "image", x, prompts_of(name, model.method))[:, 1:]
        assert patches.shape[1] == 16
        tiny.close(pooled, loops.norm(body.fc_norm, patches.mean(1)))


@BOTH
@pytest.mark.parametrize("prompts", [1, 6])
def test_operations_are_those_of_a_longer_sequence(name, prompts):
    n, d = 1 + 16 + prompts, tiny.WIDTH
    linears = n * (d * 3 * d + d * d + 2 * d * 2 * d)  # qkv, proj, fc1 and fc2
    products = 16 * 192 * d + tiny.DEPTH * (linears + 2 * n * n * d) + 5 * d  # patches, blocks, head
    assert measure.forward_flops(tiny.wire(name, "image", prompts=prompts), tiny.inputs("image")) == 2 * products


@BOTH
def test_prompts_get_no_weight_decay(name):
    model = tiny.wire(name, "image", weight_decay=0.05)
    decayed, free = model.method.param_groups(model)
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)
    assert {id(p) for p in decayed["params"]} == {id(model.head.weight)}
    assert {id(p) for p in free["params"]} == {id(p) for p in model.method.parameters()} | {id(model.head.bias)}


@BOTH
@pytest.mark.parametrize(("modality", "numbers"), [("image", 3 * 8 * 8), ("points", 3 * 4)])
def test_prompts_start_uniform_in_the_xavier_bound(name, modality, numbers):
    values = torch.cat([p.detach().flatten() for p in tiny.wire(name, modality, prompts=100).method.parameters()])
    bound = (6 / (numbers + tiny.WIDTH)) ** 0.5
    assert 0.99 * bound < values.abs().max() <= bound
    assert abs(values.std() - bound / 3**0.5) < 0.02 * bound  # of a uniform distribution; 4,800 values or more


def test_every_sample_draws_its_own_dropout():
    torch.manual_seed(0)
    part, x = Prompts(48, 10, patch_numbers=12, dropout=0.5), torch.zeros(2, 3, 48)
    first, second = part(x)[:, 3:]
    assert not torch.equal(first == 0, second == 0)
    kept = first != 0
    torch.testing.assert_close(first[kept], 2 * part.prompts[kept])
    assert torch.equal(part.eval()(x)[:, 3:], part.prompts.expand(2, -1, -1))


@BOTH
@torch.no_grad()
def test_the_backbone_stays_still_in_training(name):
    body = tiny.vit(drop_path_rate=0.9)
    model = tiny.move(
        Classifier(
            body, methods.build(name, backbones.describe(body), methods.config(name, {"dropout": 0})), nn.Identity()
        )
    )
    x = tiny.inputs("image")
    assert torch.equal(model.train()(x), model.eval()(x))


@pytest.mark.parametrize(("name", "dropout", "searched"), [("vpt_shallow", 0.0, False), ("vpt_deep", 0.1, True)])
def test_only_the_deep_form_has_dropout(name, dropout, searched):
    assert methods.defaults(name)["dropout"] == dropout
    trial = optuna.create_study().ask()
    methods.get(name).Config.suggest(trial)
    assert ("dropout" in trial.params) == searched
