"""SSF."""

from __future__ import annotations

import pytest
import torch
from timm.models import VisionTransformer
from torch import nn

import methods
from benchmarks.backbones.grouping import group
from benchmarks.backbones.points import PointTransformer
from benchmarks.training.model import Classifier
from methods.layers import ScaleShift
from tests.support import tiny

# in the order in which the parts are wired
PLACES = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")


def test_count_equals_the_published():
    block = 768 + 3 * 768 + 768 + 768 + 4 * 768 + 768  # norm1, qkv, proj, norm2, fc1, fc2
    assert tiny.count("ssf") == 2 * (768 + 12 * block + 768) == 205_824


@pytest.mark.parametrize(("modality", "ratio"), [("image", 2), ("points", 4)])
@pytest.mark.parametrize("layers", [1, 3])
def test_counts_equal_the_closed_form(modality, ratio, layers):
    count = sum(p.numel() for p in tiny.wire("ssf", modality, layers).method.parameters())
    assert count == 2 * tiny.WIDTH * (2 + layers * (1 + 3 + 1 + 1 + ratio + 1))


def scale_shift(part, x):
    return tiny.each_token(lambda token: part.scale * token + part.shift, x)


def acts(method):
    """The method's parts as the acts of a block written out, and the parts of tokens and last norm."""
    tokens, *parts, last = method.parts
    assert len(parts) == tiny.DEPTH * len(PLACES)
    at = {(i // len(PLACES), PLACES[i % len(PLACES)]): part for i, part in enumerate(parts)}

    def linear(layer, name, module, x):
        return scale_shift(at[layer, name], tiny.plain(layer, name, module, x))

    def after_norm(layer, name, x):
        return scale_shift(at[layer, name], x)

    return tokens, {"linear": linear, "after_norm": after_norm}, last


def test_output_equals_the_equations_on_images():
    model, x, body = tiny.trained("ssf", "image"), tiny.inputs("image", 2), tiny.backbone("image")
    tokens, places, last = acts(model.method)
    with torch.no_grad():
        h = tiny.image_tokens(body, x)
        position = body.pos_embed[:, 1:]
        h[:, 1:] = scale_shift(tokens, h[:, 1:] - position) + position
        for layer in range(tiny.DEPTH):
            h = tiny.block(body, layer, h, **places)
        expected = scale_shift(last, tiny.norm(body.norm, h))[:, 0]
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-5, atol=1e-5)


def test_output_equals_the_equations_on_points():
    model, x, body = tiny.trained("ssf", "points"), tiny.inputs("points", 2), tiny.backbone("points")
    tokens, places, last = acts(model.method)
    with torch.no_grad():
        neighborhoods, centers = group(x, body.num_groups, body.group_size)
        h = torch.cat([body.cls_token.expand(2, -1, -1), scale_shift(tokens, body.encoder(neighborhoods))], dim=1)
        position = torch.cat([body.cls_pos.expand(2, -1, -1), body.pos_embed(centers)], dim=1)
        for layer in range(tiny.DEPTH):
            h = tiny.block(body, layer, h + position, **places)
        h = scale_shift(last, tiny.norm(body.norm, h))
        expected = torch.cat([h[:, 0], h[:, 1:].amax(1)], dim=-1)
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-5, atol=1e-5)


def test_parts_start_around_one_and_around_zero():
    torch.manual_seed(0)
    part = ScaleShift(100_000)
    for values, centre in ((part.scale, 1.0), (part.shift, 0.0)):
        assert abs(values.mean() - centre) < 5e-4
        assert abs(values.std() - 0.02) < 5e-4


def other_backbone(kind):
    torch.manual_seed(0)
    shape = {"embed_dim": tiny.WIDTH, "depth": tiny.DEPTH, "num_heads": 3}
    if kind == "reduced points":
        sizes = {"num_groups": 4, "group_size": 4, "widths": (8, 16, 16), "pos_width": 16}
        return PointTransformer(**shape, **sizes, reduced_from=24).eval(), "points"
    image = {"img_size": 32, "patch_size": 8, "num_classes": 0}
    if kind == "mean-pooled":
        return VisionTransformer(**shape, **image, global_pool="avg").eval(), "image"
    assert kind == "norms everywhere"
    return VisionTransformer(**shape, **image, pre_norm=True, qk_norm=True, qkv_bias=False).eval(), "image"


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        ("reduced points", 1 + 6 * tiny.DEPTH + 1),
        ("mean-pooled", 1 + 6 * tiny.DEPTH + 1),
        ("norms everywhere", 1 + 1 + 8 * tiny.DEPTH + 1),
    ],
)
def test_merge_equals_unmerged_on_other_backbones(kind, parts):
    body, modality = other_backbone(kind)
    method = methods.build("ssf", body, methods.config("ssf", {}))
    model, x = tiny.move(Classifier(body, method, nn.Identity())).eval(), tiny.inputs(modality)
    assert len(method.parts) == parts
    with torch.no_grad():
        before = model(x)
        method.merge()
        merged = model(x)
        torch.testing.assert_close(merged, before, rtol=1e-5, atol=1e-5)
        method.merge()
        assert torch.equal(model(x), merged)  # a second merge folds nothing in
        method.remove_hooks()
        assert torch.equal(model(x), merged)  # and no hook was left


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
            torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-5)
            hooked = {n for n, m in model.backbone.named_modules() if m._forward_hooks or m._forward_pre_hooks}
            assert hooked == {"reduce_dim"}
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "ssf: lr=0.0 must be positive"),
        ({"rank": 8}, "ssf: unknown option 'rank'; known: lr, weight_decay"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(ValueError) as error:
        methods.config("ssf", options)
    assert str(error.value) == message
