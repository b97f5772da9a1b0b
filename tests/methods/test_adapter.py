"""The sequential adapter."""

import pytest
import torch.nn.functional as F

from tests.support import loops, tiny

ACTS = {"relu": lambda z: z.clamp(min=0), "gelu": F.gelu, "quick_gelu": lambda z: z / (1 + (-1.702 * z).exp())}


@pytest.mark.parametrize(("options", "published"), [({"hidden": 8}, 156_768), ({"hidden": 64}, 1_189_632)])
def test_counts_equal_the_published(options, published):
    hidden = options["hidden"]
    assert tiny.count("adapter", **options) == 12 * (2 * 768 * hidden + hidden + 768) == published
    assert tiny.count("adapter", **options, position="both") == 2 * published


@pytest.mark.parametrize("position", ["ffn", "both"])
@pytest.mark.parametrize("act", sorted(ACTS))
def test_output_equals_a_loop_over_tokens(position, act):
    model, x = tiny.trained("adapter", "image", position=position, act=act, scale=0.7), tiny.inputs("image", 2)
    adapters = list(model.method.adapters)

    def through(adapter, y):
        down, up = adapter.down, adapter.up
        one = lambda t: t + 0.7 * (up.weight @ ACTS[act](down.weight @ t + down.bias) + up.bias)  # noqa: E731
        return loops.each_token(one, y)

    def after_attention(layer, y):
        return through(adapters[2 * layer], y) if position == "both" else y

    def after_ffn(layer, y):
        return through(adapters[2 * layer + 1 if position == "both" else layer], y)

    loops.check_image(model, x, after_attention=after_attention, after_ffn=after_ffn)
