"""SSF."""

import pytest
import torch
from timm.layers import RmsNorm, SwiGLU, SwiGLUPacked
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from benchmarks.training.model import Classifier
from methods.parts.layers import ScaleShift
from tests.support import loops, tiny


def test_count_equals_the_published():
    block = 768 + 3 * 768 + 768 + 768 + 4 * 768 + 768  # norm1, qkv, proj, norm2, fc1, fc2
    assert tiny.count("ssf") == 2 * (768 + 12 * block + 768) == 205_824


@pytest.mark.parametrize(("modality", "ratio"), [("image", 2), ("points", 4)])
@pytest.mark.parametrize("layers", [1, 3])
def test_counts_equal_the_closed_form(modality, ratio, layers):
    count = sum(p.numel() for p in tiny.wire("ssf", modality, layers).method.parameters())
    assert count == 2 * tiny.WIDTH * (2 + layers * (1 + 3 + 1 + 1 + ratio + 1))


def test_output_equals_the_equations_on_images():
    model, x, body = tiny.trained("ssf", "image"), tiny.inputs("image", 2), tiny.backbone("image")
    tokens, *parts, last = model.method.parts
    with torch.no_grad():
        h, position = loops.image_tokens(body, x), body.pos_embed[:, 1:]
        h[:, 1:] = loops.scale_shift(tokens, h[:, 1:] - position) + position
        for layer in range(tiny.DEPTH):
            h = loops.block(body, layer, h, **loops.scale_shifts(parts))
        tiny.close(model.pooled(x), loops.scale_shift(last, loops.norm(body.norm, h))[:, 0])


def test_output_equals_the_equations_on_points():
    model, x, body = tiny.trained("ssf", "points"), tiny.inputs("points", 2), tiny.backbone("points")
    tokens, *parts, last = model.method.parts
    with torch.no_grad():
        h, position = loops.point_tokens(body, x)
        h[:, 1:] = loops.scale_shift(tokens, h[:, 1:])
        for layer in range(tiny.DEPTH):
            h = loops.block(body, layer, h + position, **loops.scale_shifts(parts))
        tiny.close(model.pooled(x), loops.pooled_points(loops.scale_shift(last, loops.norm(body.norm, h))))


def test_parts_start_around_one_and_around_zero():
    torch.manual_seed(0)
    part = ScaleShift(100_000)
    for values, centre in ((part.scale, 1.0), (part.shift, 0.0)):
        assert abs(values.mean() - centre) < 5e-4
        assert abs(values.std() - 0.02) < 5e-4


@pytest.mark.parametrize(
    ("modality", "changes", "parts"),
    [
        ("points", {"reduced_from": 24}, 1 + 6 * tiny.DEPTH + 1),
        ("image", {"global_pool": "avg"}, 1 + 6 * tiny.DEPTH + 1),
        ("image", {"pre_norm": True, "qk_norm": True, "qkv_bias": False}, 1 + 1 + 8 * tiny.DEPTH + 1),
        ("image", {"mlp_layer": SwiGLU}, 1 + 7 * tiny.DEPTH + 1),
        ("image", {"mlp_layer": SwiGLUPacked}, 1 + 6 * tiny.DEPTH + 1),
        ("image", {"embed_norm_layer": nn.LayerNorm}, 1 + 6 * tiny.DEPTH + 1),
    ],
)
def test_merge_equals_unmerged_on_other_backbones(modality, changes, parts):
    body = (tiny.vit if modality == "image" else tiny.points)(**changes)
    method = methods.build("ssf", backbones.describe(body), methods.config("ssf", {}))
    model, x = tiny.move(Classifier(body, method, nn.Identity())).eval(), tiny.inputs(modality)
    assert len(method.parts) == parts
    checks.check_merge(model, x)
    assert not checks.hooked(model)


@torch.no_grad()
def test_merge_keeps_the_shift_that_an_rms_norm_of_patches_cannot_add():
    body, x = tiny.vit(embed_norm_layer=RmsNorm), tiny.inputs("image")
    method = methods.build("ssf", backbones.describe(body), methods.config("ssf", {}))
    model = tiny.move(Classifier(body, method, nn.Identity())).eval()
    checks.check_merge(model, x)
    assert checks.hooked(model) == {"patch_embed"} and not method.folded


def test_merge_gives_a_frozen_bias_to_linears_without_one():
    model = tiny.trained("ssf", "points")
    before = set(model.backbone.state_dict())
    model.method.merge()
    assert set(model.backbone.state_dict()) - before == {f"blocks.{i}.attn.qkv.bias" for i in range(tiny.DEPTH)}
    assert not any(p.requires_grad for p in model.backbone.parameters())


def test_merge_keeps_the_one_hook_that_a_maximum_does_not_commute_with():
    model, x = tiny.trained("ssf", "points"), tiny.inputs("points")
    tokens = model.method.parts[0]
    with torch.no_grad():
        tokens.scale[0] = -1.0
        before = model(x)
        for _ in range(2):  # a second merge changes nothing
            model.method.merge()
            tiny.close(model(x), before)
            assert checks.hooked(model) == {"reduce_dim"}
        tokens.scale[0] = 1.0
        assert not torch.allclose(model(x), before, rtol=1e-5, atol=1e-5)  # the hook still acts


def test_bfloat16_keeps_its_type_and_small_scales():
    part, x = ScaleShift(4), torch.full((2, 4), 256.0, dtype=torch.bfloat16)
    with torch.no_grad():
        part.scale.fill_(1 + 2**-9)  # in bfloat16 this is 1
        part.shift.fill_(0.75)
        out = part(x)
    assert out.dtype == torch.bfloat16
    assert torch.equal(out, torch.full((2, 4), 258.0).bfloat16())  # 257.25; of rounded scales it would be 256
