"""Adapter+."""

import pytest
import torch
import torch.nn.functional as F

from tests.support import loops, tiny


@pytest.mark.parametrize(("hidden", "expected"), [(1, 36_876), (8, 165_984), (32, 608_640)])
def test_counts_equal_the_closed_form(hidden, expected):
    assert tiny.count("adapter_plus", hidden=hidden) == 12 * (2 * 768 * hidden + hidden + 2 * 768) == expected


def branch(adapter, token):
    """scale * (W2 gelu(W1 t + b1) + b2) of one token (D,)."""
    down, up = adapter.down, adapter.up
    return adapter.channels * (up.weight @ F.gelu(down.weight @ token + down.bias) + up.bias)


def test_output_equals_a_loop_over_tokens():
    model, x = tiny.trained("adapter_plus", "image"), tiny.inputs("image", 2)
    body = tiny.backbone("image")
    with torch.no_grad():
        h = loops.image_tokens(body, x)
        for layer, adapter in enumerate(model.method.adapters):
            h = loops.block(body, layer, h)
            h = loops.each_token(lambda token, own=adapter: token + branch(own, token), h)
        tiny.close(model.pooled(x), loops.norm(body.norm, h)[:, 0])
        assert not torch.allclose(model.pooled(x), body(x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("position", ["intermediate", "parallel"])
def test_other_positions_equal_a_loop_over_tokens(position):
    model, x = tiny.trained("adapter_plus", "image", position=position), tiny.inputs("image", 2)
    adapters = list(model.method.adapters)

    def after_ffn(layer, y):
        one = lambda t: t + branch(adapters[layer], t)  # noqa: E731
        return loops.each_token(one, y) if position == "intermediate" else y

    def beside(layer, h, u):
        return loops.each_token(lambda t: branch(adapters[layer], t), h) if position == "parallel" else 0

    loops.check_image(model, x, after_ffn=after_ffn, beside=beside)


def test_matrices_start_small_and_scales_at_one():
    adapter = tiny.wire("adapter_plus", "image", hidden=64).method.adapters[0]
    for linear in (adapter.down, adapter.up):
        assert 0 < linear.weight.abs().max() <= 0.02
        assert 0.008 < linear.weight.std() < 0.01  # a normal of 0.01 that is cut at 0.02
        assert not linear.bias.any()
    assert (adapter.channels == 1).all()


@torch.no_grad()
def test_drop_path_drops_the_adapter_of_whole_samples_in_training():
    adapter, x = tiny.trained("adapter_plus", "image", drop_path=0.5).method.adapters[0], torch.randn(64, 5, 48)
    whole = adapter.eval()(x) - x
    share = ((adapter.train()(x) - x) / whole).flatten(1)
    assert torch.equal(share.mean(dim=1).round(), share.median(dim=1).values.round())
    assert set(share.median(dim=1).values.round().tolist()) == {0.0, 2.0}
