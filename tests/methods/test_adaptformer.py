"""AdaptFormer."""

from __future__ import annotations

import pytest
import torch

import methods
from tests.support import tiny


@pytest.mark.parametrize(
    ("hidden", "layer_norm", "published"), [(8, False, 156_768), (16, True, 322_752), (64, True, 1_208_064)]
)
def test_counts_equal_the_published(hidden, layer_norm, published):
    closed = 12 * (2 * 768 * hidden + hidden + 768 + 2 * 768 * layer_norm)
    assert tiny.count("adaptformer", hidden=hidden, layer_norm=layer_norm) == closed == published


@pytest.mark.parametrize("layer_norm", [True, False])
def test_output_equals_a_loop_over_tokens(layer_norm):
    model = tiny.trained("adaptformer", "image", hidden=8, scale=0.3, layer_norm=layer_norm)
    x = tiny.inputs("image", 2)

    def beside(layer, h, u):
        branch = model.method.branches[layer]
        down, up = branch[-1].down, branch[-1].up

        def one(token):
            token = tiny.norm(branch[0], token) if layer_norm else token
            return 0.3 * (up.weight @ (down.weight @ token + down.bias).clamp(min=0) + up.bias)

        return tiny.each_token(one, h)

    with torch.no_grad():
        expected = tiny.vit(tiny.backbone("image"), x, beside=beside)
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-5, atol=1e-5)


def test_a_wrong_option_is_one_clear_line():
    with pytest.raises(ValueError, match=r"^adaptformer: hidden=0 must be at least 1$"):
        methods.config("adaptformer", {"hidden": 0})
