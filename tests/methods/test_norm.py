"""Norm tuning."""

from __future__ import annotations

import torch

from tests.support import loops, tiny


def test_counts_equal_the_closed_form():
    assert tiny.count("norm") == (2 * 12 + 1) * 2 * 768 == 38_400


def test_output_equals_the_equations():
    model, x = tiny.trained("norm", "image"), tiny.inputs("image")
    reference = tiny.backbone("image")
    names = {f"blocks.{layer}.norm{i}.{p}" for layer in range(tiny.DEPTH) for i in (1, 2) for p in ("weight", "bias")}
    names |= {"norm.weight", "norm.bias"}
    with torch.no_grad():
        for name in names:
            reference.get_parameter(name).copy_(model.backbone.get_parameter(name))
        tiny.close(model.pooled(x), loops.vit(reference, x))
