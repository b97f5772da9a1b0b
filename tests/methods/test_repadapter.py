"""RepAdapter."""

import pytest
import torch

from tests.support import contract, loops, tiny


@pytest.mark.parametrize(
    ("hidden", "groups", "published"), [(4, 1, None), (8, 2, 221_184), (16, 4, None), (32, 2, None)]
)
def test_counts_equal_the_closed_form_and_the_published(hidden, groups, published):
    closed = 12 * 2 * (768 * hidden + 768 * hidden // groups)
    assert tiny.count("repadapter", hidden=hidden, groups=groups) == closed == (published or closed)


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
            x = loops.each_token(lambda token: adapted(adapter, groups, 0.5, token), x)
        return loops.plain(layer, name, module, x)

    loops.check_image(model, x, linear=linear)


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_merge_equals_unmerged_once(groups, modality):
    contract.check_merge(tiny.trained("repadapter", modality, groups=groups, scale=0.7), tiny.inputs(modality))
