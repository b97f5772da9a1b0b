"""Norm tuning."""

from functools import partial

import pytest
import torch
from timm.layers import RmsNorm
from torch import nn

import methods
from benchmarks import backbones
from methods.errors import UserError
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


def test_weights_of_rms_norms_train():
    body = tiny.vit(norm_layer=RmsNorm, qk_norm=True, embed_norm_layer=RmsNorm)
    method = methods.build("norm", backbones.describe(body), methods.config("norm", {}))
    assert isinstance(body.blocks[0].norm1, RmsNorm) and not list(method.parameters())
    inside = {
        f"blocks.{i}.{name}" for i in range(tiny.DEPTH) for name in ("norm1", "norm2", "attn.q_norm", "attn.k_norm")
    }
    expected = {f"{name}.weight" for name in inside | {"norm", "patch_embed.norm"}}
    assert {name for name, p in body.named_parameters() if p.requires_grad} == expected
    assert methods.get("norm").unfrozen(backbones.describe(body)) == expected


def without_norm_weights():
    return tiny.vit(norm_layer=partial(nn.LayerNorm, elementwise_affine=False))


def without_biases():
    body = tiny.vit()
    for module in body.modules():
        if getattr(module, "bias", None) is not None:
            module.bias = None
    return body


@pytest.mark.parametrize(("name", "body"), [("norm", without_norm_weights()), ("bitfit", without_biases())])
def test_a_method_that_finds_nothing_to_train_is_refused(name, body):
    with pytest.raises(UserError) as error:
        methods.build(name, backbones.describe(body), methods.config(name, {}))
    assert str(error.value) == (
        f"method '{name}' finds nothing to train in this VisionTransformer, so it would be 'linear'; choose another "
        "method or backbone"
    )
    methods.build("linear", backbones.describe(body), methods.config("linear", {}))
