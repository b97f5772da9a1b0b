"""FiLM after norms."""

import pytest
import torch
from timm.layers import RmsNorm

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from tests.support import loops, tiny


def test_count_equals_the_closed_form():
    assert tiny.count("film") == 2 * 768 * (2 * 12 + 1) == 38_400


@pytest.mark.parametrize(
    ("family", "features"),
    [
        ("swin", 24 + 2 * (2 * 24) + 4 * 24 + 2 * 48 + 48),  # tokenizer, blocks, downsampling, block, last norm
        ("convnext", 24 + 3 * 24 + 3 * 24 + (24 + 24 + 48) + 48),  # stem, downsampling, blocks, last norm
        ("points", tiny.WIDTH * (2 * tiny.DEPTH + 1)),
    ],
)
def test_counts_on_other_families_equal_the_closed_form(family, features):
    assert sum(p.numel() for p in tiny.wire("film", family).method.parameters()) == 2 * features


@torch.no_grad()
def test_output_equals_the_equations():
    model, x, body = tiny.trained("film", "image"), tiny.inputs("image", 2), tiny.backbone("image")
    *parts, last = model.method.parts

    def after_norm(layer, name, x):
        return loops.scale_shift(parts[2 * layer + (name == "norm2")], x)

    h = loops.image_tokens(body, x)
    for layer in range(tiny.DEPTH):
        h = loops.block(body, layer, h, after_norm=after_norm)
    tiny.close(model.pooled(x), loops.scale_shift(last, loops.norm(body.norm, h))[:, 0])


def test_every_scale_starts_at_one_and_every_shift_at_zero():
    parts = tiny.wire("film", "image").method.parts
    assert all(bool((part.scale == 1).all()) and not part.shift.any() for part in parts)


def test_merged_norms_are_those_that_norm_tuning_could_have_reached():
    model, x = tiny.trained("film", "image"), tiny.inputs("image")
    before = {k: v.clone() for k, v in model.backbone.state_dict().items()}
    checks.check_merge(model, x)
    after = model.backbone.state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed == methods.get("norm").unfrozen(backbones.describe(model.backbone))


@torch.no_grad()
def test_an_rms_norm_keeps_the_hook_of_its_shift():
    model = tiny.trained("film", "image", body=tiny.vit(embed_norm_layer=RmsNorm))
    checks.check_merge(model, tiny.inputs("image"))
    assert checks.hooked(model) == {"patch_embed"} and not model.method.folded
