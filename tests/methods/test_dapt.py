"""DAPT, against its equations token by token and its published totals."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from tests.support import contract, loops, tiny


@pytest.mark.parametrize(
    ("hidden", "classes", "head_prompts", "published"), [(64, 15, True, 1_087_771), (72, 40, False, 1_069_716)]
)
def test_totals_equal_the_published(hidden, classes, head_prompts, published):
    own, total = tiny.count_with_head("dapt", classes, hidden=hidden, head_prompts=head_prompts)
    adapter = 2 * 384 + (2 * 384 * hidden + hidden + 384) + (384 + 1)
    assert own == 12 * adapter + 112_128  # scales, shifts and prompts
    head = (3 if head_prompts else 2) * 384 * 256 + 256 * 256 + 256 * classes + 6 * 256 + classes
    assert total == own + 2 * 384 + head == published


@pytest.mark.parametrize(("hidden", "layers"), [(5, 1), (8, 3)])
def test_counts_equal_the_closed_form(hidden, layers):
    own = sum(p.numel() for p in tiny.wire("dapt", "points", layers, hidden=hidden).method.parameters())
    adapter = 2 * tiny.WIDTH * hidden + hidden + 4 * tiny.WIDTH + 1
    scales = 2 * tiny.WIDTH * (2 + layers * (1 + 3 + 1 + 1 + 4 + 1))
    assert own == scales + layers * (adapter + 2 * tiny.WIDTH)


def adapted(adapter, token):
    """relu(w . n + b) * (up gelu(down n)) of n = LN(h), for one token (D,)."""
    n = loops.norm(adapter.norm, token)
    down, up = adapter.bottleneck.down, adapter.bottleneck.up
    scale = (adapter.scale.weight[0] @ n + adapter.scale.bias[0]).clamp(min=0)
    return scale * (up.weight @ F.gelu(down.weight @ n + down.bias) + up.bias)


def by_loop(model, x):
    """Normed tokens (B, 1 + G + L, D) by the equations, on the untouched backbone but for class token and position."""
    method, body = model.method, tiny.backbone("points")
    body.cls_token, body.cls_pos = model.backbone.cls_token, model.backbone.cls_pos
    first, *parts, last = method.parts
    h, position = loops.point_tokens(body, x)
    h = torch.cat([h[:, :1], loops.scale_shift(first, h[:, 1:])], dim=1)
    for layer in range(tiny.DEPTH):
        kept = []

        def beside(layer, h, u, kept=kept):
            kept.append(loops.each_token(partial(adapted, method.adapters[layer]), h))
            return kept[0]

        h[:, : position.shape[1]] += position  # prompts have none
        h = loops.block(body, layer, h, beside=beside, **loops.scale_shifts(parts))
        gamma, beta = method.generators[layer].gamma, method.generators[layer].beta
        prompts = [gamma * sum(F.gelu(token) for token in a) / len(a) + beta for a in kept[0]]
        h = torch.cat([h, torch.stack(prompts)[:, None]], dim=1)
    return loops.scale_shift(last, loops.norm(body.norm, h))


@pytest.mark.parametrize("head_prompts", [True, False])
def test_output_equals_a_loop_over_tokens(head_prompts):
    model, x = tiny.trained("dapt", "points", hidden=8, head_prompts=head_prompts), tiny.inputs("points", 2)
    with torch.no_grad():
        tokens = by_loop(model, x)
        patches, prompts = tokens[:, 1:5], tokens[:, 5:]
        assert prompts.shape[1] == tiny.DEPTH  # they accumulate
        parts = [tokens[:, 0], prompts.mean(dim=1), patches.max(dim=1).values]
        expected = torch.cat(parts if head_prompts else [parts[0], parts[2]], dim=-1)
        got = model.method.features(model.pooled(x))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=2e-5)  # values reach 10 after three blocks
        torch.testing.assert_close(model(x), got @ model.head.weight.T + model.head.bias)


def test_every_adapter_starts_at_nothing_and_some_scales_do_not():
    method = tiny.wire("dapt", "points").method
    torch.manual_seed(4)
    h = torch.randn(2, 50, tiny.WIDTH)
    with torch.no_grad():
        for adapter in method.adapters:
            assert not adapter(h).any()
            open_ = (adapter.scale(adapter.norm(h)) > 0).float().mean()
            assert 0.2 < open_ < 0.8  # of a bias of zero; a scale that is zero on every token could not learn


@pytest.mark.parametrize("head_prompts", [True, False])
def test_merge_keeps_adapters_and_prompts_alone(head_prompts):
    model = tiny.trained("dapt", "points", head_prompts=head_prompts)
    contract.check_merge(model, tiny.inputs("points"))
    blocks = {f"blocks.{i}{part}" for i in range(tiny.DEPTH) for part in ("", ".norm2", ".drop_path2")}
    assert contract.hooked(model) == blocks | {"norm"}
