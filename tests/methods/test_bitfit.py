"""BitFit."""

import torch

from tests.support import loops, tiny


def test_counts_equal_the_closed_form():
    depth, width, ffn = 12, 768, 3072
    block = 2 * width + 3 * width + width + ffn + width  # two norms, qkv, proj, fc1, fc2
    assert tiny.count("bitfit") == depth * block + width + width == 102_912  # final norm, patch embedding


@torch.no_grad()
def test_output_equals_the_equations():
    model, x, reference = tiny.trained("bitfit", "image"), tiny.inputs("image"), tiny.backbone("image")
    biases = {name: value for name, value in model.backbone.state_dict().items() if name.endswith("bias")}
    reference.load_state_dict(biases, strict=False)
    tiny.close(model.pooled(x), loops.vit(reference, x))
