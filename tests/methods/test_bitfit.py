"""BitFit."""

from __future__ import annotations

import torch

from tests.support import loops, tiny


def test_counts_equal_the_closed_form():
    depth, width, ffn = 12, 768, 3072
    block = 2 * width + 3 * width + width + ffn + width  # two norms, qkv, proj, fc1, fc2
    assert tiny.count("bitfit") == depth * block + width + width == 102_912  # final norm, patch embedding


def test_output_equals_the_equations():
    model, x = tiny.trained("bitfit", "image"), tiny.inputs("image")
    reference = tiny.backbone("image")
    with torch.no_grad():
        for name, parameter in model.backbone.named_parameters():
            if name.endswith("bias"):
                reference.get_parameter(name).copy_(parameter)
        expected = loops.vit(reference, x)
        tiny.close(model.pooled(x), expected)
