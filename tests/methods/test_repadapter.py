"""RepAdapter."""

from __future__ import annotations

import pytest
import torch

import methods
from tests.support import tiny


@pytest.mark.parametrize(("hidden", "groups"), [(4, 1), (8, 2), (16, 4), (32, 2)])
def test_counts_equal_the_closed_form(hidden, groups):
    closed = 12 * 2 * (768 * hidden + 768 * hidden // groups)
    assert tiny.count("repadapter", hidden=hidden, groups=groups) == closed


def test_default_count_equals_the_published():
    assert tiny.count("repadapter") == 221_184


def adapted(adapter, groups, scale, token):
    """x + scale * Up Down x of one token (D,), one output feature at a time."""
    hidden, width = adapter.down.weight @ token, len(token) // groups
    out = []
    for feature, value in enumerate(token):
        group, column = divmod(feature, width)
        share = hidden[group * len(hidden) // groups : (group + 1) * len(hidden) // groups]
        out.append(value + scale * sum(h * w for h, w in zip(share, adapter.up[group, :, column], strict=True)))
    return torch.stack(out)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_output_equals_a_loop_over_features(groups):
    model = tiny.trained("repadapter", "image", layers=2, hidden=4, groups=groups, scale=0.5)
    x = tiny.inputs("image", 1)

    def linear(layer, name, module, x):
        if name in ("qkv", "fc1"):
            adapter = model.method.adapters[2 * layer + (name == "fc1")]
            x = tiny.each_token(lambda token: adapted(adapter, groups, 0.5, token), x)
        return tiny.plain(layer, name, module, x)

    with torch.no_grad():
        expected = tiny.vit(tiny.backbone("image", 2), x, linear=linear)
        assert not torch.allclose(expected, tiny.backbone("image", 2)(x), rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_merge_equals_unmerged_once(groups, modality):
    model, x = tiny.trained("repadapter", modality, groups=groups, scale=0.7), tiny.inputs(modality)
    with torch.no_grad():
        before = model(x)
        model.method.merge()
        merged = model(x)
        torch.testing.assert_close(merged, before, rtol=1e-5, atol=1e-5)
        model.method.merge()
        assert torch.equal(model(x), merged)


def test_dropout_acts_in_training_alone():
    model, x = tiny.trained("repadapter", "image", dropout=0.5), tiny.inputs("image")
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
        model.train()
        assert not torch.equal(model(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden=0 must be at least 1"),
        ({"groups": 0}, "groups=0 must be at least 1"),
        ({"hidden": 6, "groups": 4}, "hidden=6 must be a multiple of groups=4"),
        ({"dropout": 1}, "dropout=1.0 must be below 1"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(ValueError) as error:
        methods.config("repadapter", options)
    assert str(error.value) == f"repadapter: {message}"


def test_groups_that_do_not_divide_the_token_are_refused():
    with pytest.raises(ValueError) as error:
        tiny.wire("repadapter", "image", hidden=5, groups=5)
    assert str(error.value) == "repadapter: groups=5 must divide the token width 48"
