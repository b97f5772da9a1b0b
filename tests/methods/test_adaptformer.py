"""AdaptFormer."""

import pytest

from tests.support import loops, tiny


@pytest.mark.parametrize(
    ("hidden", "layer_norm", "published"),
    [(8, False, 156_768), (64, False, 1_189_632), (16, True, 322_752), (64, True, 1_208_064)],
)
def test_counts_equal_the_published(hidden, layer_norm, published):
    closed = 12 * (2 * 768 * hidden + hidden + 768 + 2 * 768 * layer_norm)
    assert tiny.count("adaptformer", hidden=hidden, layer_norm=layer_norm) == closed == published


def test_the_branch_has_no_norm_by_default():
    assert tiny.count("adaptformer") == 1_189_632


@pytest.mark.parametrize("layer_norm", [True, False])
def test_output_equals_a_loop_over_tokens(layer_norm):
    model = tiny.trained("adaptformer", "image", hidden=8, scale=0.3, layer_norm=layer_norm)

    def beside(layer, h, u):
        return loops.each_token(loops.bottleneck(model.method.branches[layer], layer_norm, 0.3), h)

    loops.check_image(model, tiny.inputs("image", 2), beside=beside)
