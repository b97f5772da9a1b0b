"""RepAdapter."""

import pytest
import torch

from benchmarks.contract import checks
from tests.support import loops, tiny

BIAS = pytest.mark.parametrize("bias", [False, True])


@pytest.mark.parametrize(
    ("hidden", "groups", "bias", "published"),
    [(4, 1, False, None), (8, 2, False, 221_184), (8, 2, True, 239_808), (16, 4, False, None), (32, 2, True, None)],
)
def test_counts_equal_the_closed_form_and_the_published(hidden, groups, bias, published):
    closed = 12 * 2 * (768 * hidden + 768 * hidden // groups + bias * (hidden + 768))
    assert tiny.count("repadapter", hidden=hidden, groups=groups, bias=bias) == closed == (published or closed)


def adapted(adapter, groups, scale, token):
    """x + scale * (Up (Down x + b) + b) of one token (D,), one output feature at a time."""
    hidden, width = adapter.down.weight @ token, len(token) // groups
    if adapter.down.bias is not None:
        hidden = hidden + adapter.down.bias
    out = []
    for feature, value in enumerate(token):
        group, column = divmod(feature, width)
        share = hidden[group * len(hidden) // groups : (group + 1) * len(hidden) // groups]
        total = sum(h * w for h, w in zip(share, adapter.up[group, :, column], strict=True))
        out.append(value + scale * (total + (0 if adapter.up_bias is None else adapter.up_bias[feature])))
    return torch.stack(out)


@pytest.mark.parametrize(("groups", "bias"), [(1, False), (2, False), (4, True)])
def test_output_equals_a_loop_over_features(groups, bias):
    model = tiny.trained("repadapter", "image", layers=2, hidden=4, groups=groups, scale=0.5, bias=bias)
    x = tiny.inputs("image", 1)

    def linear(layer, name, module, x):
        if name in ("qkv", "fc1"):
            adapter = model.method.adapters[2 * layer + (name == "fc1")]
            x = loops.each_token(lambda token: adapted(adapter, groups, 0.5, token), x)
        return loops.plain(layer, name, module, x)

    loops.check_image(model, x, linear=linear)


@BIAS
@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_merge_equals_unmerged_once(groups, modality, bias):
    model = tiny.trained("repadapter", modality, groups=groups, scale=0.7, bias=bias)
    checks.check_merge(model, tiny.inputs(modality))


@BIAS
def test_an_untrained_adapter_is_the_identity(bias):
    adapter, x = tiny.wire("repadapter", "image", bias=bias).method.adapters[0], torch.randn(2, 5, tiny.WIDTH)
    assert torch.equal(adapter(x), x)
