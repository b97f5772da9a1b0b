"""RLRR."""

import torch
from timm.models import SwinTransformer

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from tests.support import loops, tiny


def test_count_equals_the_published():
    attention = 4 * 3 * 768  # q, k, v and proj: a line, a column and a shift
    ffn = (768 + 2 * 3072) + (3072 + 2 * 768)
    scales = 2 * 768 * (25 + 1)  # every norm and the patch embedding
    assert tiny.count("rlrr") == 12 * (attention + ffn) + scales == 288_768
    heads = (940 / 19) * 769  # the mean head of VTAB-1K's tasks, which have 940 classes
    assert round((tiny.count("rlrr") + heads) / 1e6, 2) == 0.33


def test_count_on_swin_equals_the_closed_form():
    with torch.device("meta"):
        body = SwinTransformer(num_classes=0)
        method = methods.build("rlrr", backbones.describe(body), methods.config("rlrr", {}))
    blocks = sum(n * (12 * d + 9 * d + 6 * d) for d, n in ((96, 2), (192, 2), (384, 6), (768, 2)))
    norms = 96 + sum(2 * n * d for d, n in ((96, 2), (192, 2), (384, 6), (768, 2))) + 4 * (96 + 192 + 384) + 768
    assert sum(p.numel() for p in method.parameters()) == blocks + 2 * norms


def rescaled(model):
    """A linear with its matrices rescaled, one output feature at a time."""
    names = ("qkv", "proj", "fc1", "fc2")

    def linear(layer, name, module, x):
        part, features = model.method.rescalings[4 * layer + names.index(name)], []
        for feature, row in enumerate(module.weight):
            matrix = feature * (3 if name == "qkv" else 1) // len(module.weight)
            column = part.column[matrix * len(row) : (matrix + 1) * len(row)]
            total = sum(x[..., i] * (w + w * part.line[feature] * column[i]) for i, w in enumerate(row))
            features.append(total + module.bias[feature] + part.shift[feature])
        return torch.stack(features, dim=-1)

    return linear


@torch.no_grad()
def test_output_equals_the_equations():
    model, x, body = tiny.trained("rlrr", "image", layers=1), tiny.inputs("image", 1), tiny.backbone("image", 1)
    tokens, *norms, last = model.method.parts
    h, position = loops.image_tokens(body, x), body.pos_embed[:, 1:]
    h[:, 1:] = loops.scale_shift(tokens, h[:, 1:] - position) + position

    def after_norm(layer, name, x):
        return loops.scale_shift(norms[name == "norm2"], x)

    h = loops.block(body, 0, h, linear=rescaled(model), after_norm=after_norm)
    tiny.close(model.pooled(x), loops.scale_shift(last, loops.norm(body.norm, h))[:, 0])


def test_the_relative_change_of_a_weight_starts_small():
    part, linear = tiny.wire("rlrr", "image").method.rescalings[0], torch.nn.Linear(tiny.WIDTH, 3 * tiny.WIDTH)
    change = (part.applied(linear)[0] / linear.weight - 1).abs()
    assert 0 < change.max() <= tiny.WIDTH**-0.5 + 1e-6
    assert torch.equal(part.applied(linear)[1], linear.bias)


def test_merge_gives_a_frozen_bias_to_linears_without_one():
    model = tiny.trained("rlrr", "points")
    before = set(model.backbone.state_dict())
    checks.check_merge(model, tiny.inputs("points"))
    assert set(model.backbone.state_dict()) - before == {f"blocks.{i}.attn.qkv.bias" for i in range(tiny.DEPTH)}
    assert not any(p.requires_grad for p in model.backbone.parameters())
