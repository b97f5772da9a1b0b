"""Norm tuning."""

import torch

from tests.support import loops, tiny


def test_counts_equal_the_closed_form():
    assert tiny.count("norm") == (2 * 12 + 1) * 2 * 768 == 38_400


@torch.no_grad()
def test_output_equals_the_equations():
    model, x, reference = tiny.trained("norm", "image"), tiny.inputs("image"), tiny.backbone("image")
    norms = {name: value for name, value in model.backbone.state_dict().items() if "norm" in name}
    assert len(norms) == 2 * (2 * tiny.DEPTH + 1)
    reference.load_state_dict(norms, strict=False)
    tiny.close(model.pooled(x), loops.vit(reference, x))
