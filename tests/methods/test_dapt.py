"""DAPT, against its equations token by token and its published totals."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from benchmarks.contract import checks
from tests.support import loops, tiny

HEADS = {  # the parts of the head by the options of DAPT
    "all": {},
    "OBJ_ONLY": {"head_patches": False},
    "ModelNet40": {"head_prompts": False},
    "class": {"head_prompts": False, "head_patches": False},
}
EACH_HEAD = pytest.mark.parametrize("head", HEADS)


@pytest.mark.parametrize(
    ("hidden", "classes", "head", "parts", "published"),
    [(64, 15, "all", 3, 1_087_771), (64, 15, "OBJ_ONLY", 2, 989_467), (72, 40, "ModelNet40", 2, 1_069_716)],
)
def test_totals_equal_the_published(hidden, classes, head, parts, published):
    own, total = tiny.count_with_head("dapt", classes, hidden=hidden, **HEADS[head])
    adapter = 2 * 384 + (2 * 384 * hidden + hidden + 384) + (384 + 1)
    assert own == 12 * adapter + 112_128  # scales, shifts and prompts
    assert total == own + 2 * 384 + parts * 384 * 256 + 256 * 256 + 256 * classes + 6 * 256 + classes == published


@pytest.mark.parametrize(("hidden", "layers"), [(5, 1), (8, 3)])
def test_counts_equal_the_closed_form(hidden, layers):
    own = sum(p.numel() for p in tiny.wire("dapt", "points", layers, hidden=hidden).method.parameters())
    adapter = 2 * tiny.WIDTH * hidden + hidden + 4 * tiny.WIDTH + 1
    scales = 2 * tiny.WIDTH * (2 + layers * (1 + 3 + 1 + 1 + 4 + 1))
    assert own == scales + layers * (adapter + 2 * tiny.WIDTH)


def adapted(adapter, token):
    """relu(w . n + b) * (up gelu(down n)) of n = LN(u), for one token (D,)."""
    n = loops.norm(adapter.norm, token)
    down, up = adapter.bottleneck.down, adapter.bottleneck.up
    scale = (adapter.scale.weight[0] @ n + adapter.scale.bias[0]).clamp(min=0)
    return scale * (up.weight @ F.gelu(down.weight @ n + down.bias) + up.bias)


def by_loop(model, x, masks=((1, 1),) * tiny.DEPTH):
    """Normed tokens (B, 1 + G + L, D) by the equations, on the untouched backbone but for class token and position.

    Block: h = x + mask1 * MHA(TFTS(norm1(x))), u = TFTS(norm2(h)), a = adapter(u), h + mask2 * (FFN(u) + a), where TFTS
    also follows every linear; then the prompt gamma * mean(GELU(a)) + beta joins the sequence.
    """
    method, body = model.method, tiny.backbone("points")
    body.cls_token, body.cls_pos = model.backbone.cls_token, model.backbone.cls_pos
    first, *parts, last = method.parts
    h, position = loops.point_tokens(body, x)
    h = torch.cat([h[:, :1], loops.scale_shift(first, h[:, 1:])], dim=1)
    for layer, (attention_mask, ffn_mask) in enumerate(masks):
        if layer == 0 or method.config.positions == "every":
            h[:, : position.shape[1]] += position  # prompts have none
        kept = []

        def beside(layer, h, u, kept=kept, mask=ffn_mask):
            kept.append(loops.each_token(partial(adapted, method.adapters[layer]), u))
            return mask * kept[0]

        acts = loops.dropping(attention_mask, ffn_mask) | loops.scale_shifts(parts)
        h = loops.block(body, layer, h, beside=beside, **acts)
        gamma, beta = method.generators[layer].gamma, method.generators[layer].beta
        prompts = [gamma * sum(F.gelu(token) for token in a) / len(a) + beta for a in kept[0]]
        h = torch.cat([h, torch.stack(prompts)[:, None]], dim=1)
    return loops.scale_shift(last, loops.norm(body.norm, h))


def check_output(model, tokens, got):
    """The features are [class; mean of prompts; max of patches] of these tokens, but for the parts that are off."""
    config, patches, prompts = model.method.config, tokens[:, 1:5], tokens[:, 5:]
    assert prompts.shape[1] == tiny.DEPTH  # they accumulate
    parts = [tokens[:, 0]]
    parts += [prompts.mean(dim=1)] if config.head_prompts else []
    parts += [patches.max(dim=1).values] if config.head_patches else []
    torch.testing.assert_close(got, torch.cat(parts, dim=-1), rtol=1e-5, atol=2e-5)  # values reach 10


@pytest.mark.parametrize("positions", ["every", "once"])
@EACH_HEAD
def test_output_equals_a_loop_over_tokens(head, positions):
    options = {"hidden": 8, "positions": positions, **HEADS[head]}
    model, x = tiny.trained("dapt", "points", **options), tiny.inputs("points", 2)
    with torch.no_grad():
        got = model.method.features(model.pooled(x))
        check_output(model, by_loop(model, x), got)
        torch.testing.assert_close(model(x), got @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize("positions", ["every", "once"])
def test_drop_path_drops_ffn_and_adapter_together(positions):
    body = tiny.backbone("points", drop_path=0.5)
    model = tiny.trained("dapt", "points", body=body, hidden=8, positions=positions).train()
    x = tiny.inputs("points", 6)
    with torch.no_grad():
        torch.manual_seed(7)
        got = model.method.features(model.pooled(x))
        torch.manual_seed(7)
        masks = loops.drop_path_masks((0.0, 0.25, 0.5), len(x))
        assert all(set(ffn.flatten().tolist()) > {0.0} for _, ffn in masks[1:])  # some are dropped, and some not
        check_output(model, by_loop(model, x, masks), got)


def test_detach_gives_the_positions_back_before_every_block():
    model, x = tiny.wire("dapt", "points", positions="once"), tiny.inputs("points")
    model.method.detach()
    with torch.no_grad():
        assert torch.equal(model.backbone(x), tiny.backbone("points")(x))


def test_every_adapter_starts_at_nothing_and_some_scales_do_not():
    method = tiny.wire("dapt", "points").method
    torch.manual_seed(4)
    u = torch.randn(2, 50, tiny.WIDTH)
    with torch.no_grad():
        for adapter in method.adapters:
            assert not adapter(u).any()
            open_ = (adapter.scale(adapter.norm(u)) > 0).float().mean()
            assert 0.2 < open_ < 0.8  # of a bias of zero; a scale that is zero on every token could not learn


@EACH_HEAD
def test_merge_keeps_adapters_and_prompts_alone(head):
    model = tiny.trained("dapt", "points", **HEADS[head])
    checks.check_merge(model, tiny.inputs("points"))
    blocks = {f"blocks.{i}{part}" for i in range(tiny.DEPTH) for part in ("", ".mlp", ".drop_path2")}
    assert checks.hooked(model) == blocks | {"norm"}
