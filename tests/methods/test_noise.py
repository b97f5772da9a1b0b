"""Noise on what a method adds to features: it acts on additions alone, and leaves nothing behind."""

import pytest
import torch

import methods
from benchmarks import backbones
from methods.parts.noise import adds, perturbed
from tests.support import tiny

# these train weights of the backbone, or have prompts
PLAIN = {"full", "scratch", "linear", "bitfit", "norm", "vpt_shallow", "vpt_deep", "e2vpt", "idpt"}
ADDING = [(name, modality) for name, modality in tiny.PAIRS if name not in PLAIN]
CHANNELS_FIRST = ("ssf", "convnext")


def hooks(model):
    found = {}
    for name, module in model.backbone.named_modules():
        found |= {(name, key): hook for key, hook in (module._forward_pre_hooks | module._forward_hooks).items()}
    return found


@pytest.mark.parametrize(("name", "modality"), [*ADDING, CHANNELS_FIRST])
def test_noise_changes_the_output_only_while_it_is_on(name, modality):
    model, x = tiny.trained(name, modality), tiny.inputs(modality)
    before, wired = model(x), hooks(model)
    with perturbed(backbones.describe(model.backbone), 1.0, torch.Generator().manual_seed(0)) as noises:
        tiny.close(model(x), before)
        for noise in noises:
            noise.on = True
        assert not torch.allclose(model(x), before, atol=1e-3)
    assert hooks(model) == wired
    assert torch.equal(model(x), before)


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_a_method_without_adapters_has_nothing_for_noise(name):
    body = backbones.describe(tiny.backbone("points" if name == "idpt" else "image"))
    assert not adds(body, methods.build(name, body, methods.config(name, {})).eval())


@torch.no_grad()
def test_noise_multiplies_each_sample_and_feature_and_falls_with_depth():
    """y + u (1 + sigma_l e) with e ~ N(0, 1) of shape (B, 1, D), drawn in the order of the blocks."""
    model, x = tiny.trained("adapter", "image"), tiny.inputs("image")
    body, updates = model.backbone, list(model.method.adapters)
    with perturbed(backbones.describe(body), 0.7, torch.Generator().manual_seed(4)) as noises:
        assert [noise.sigma for noise in noises] == pytest.approx([0.7, 0.7 * 2 / 3, 0.7 / 3])
        for noise in noises:
            noise.on = True
        got = model.pooled(x)
    generator, tokens = torch.Generator().manual_seed(4), body.norm_pre(body._pos_embed(body.patch_embed(x)))
    model.method.remove_hooks()
    for number, (block, update) in enumerate(zip(body.blocks, updates, strict=True)):
        tokens = tokens + block.attn(block.norm1(tokens))
        y = block.mlp(block.norm2(tokens))
        e = torch.randn(len(x), 1, tiny.WIDTH, generator=generator)
        tokens = tokens + y + (update(y) - y) * (1 + 0.7 * (1 - number / 3) * e)
    tiny.close(got, body.norm(tokens)[:, 0])
