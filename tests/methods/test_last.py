"""LAST."""

import pytest
import torch

from benchmarks.contract import checks
from tests.support import loops, tiny


@pytest.mark.parametrize(("rank", "expected"), [(16, 658_944), (4, 179_712)])
def test_counts_equal_the_closed_form_and_the_published(rank, expected):
    assert tiny.count("last", rank=rank) == 13 * (4 * 768 * rank + 2 * 768) == expected


@pytest.mark.parametrize(("kind", "width", "maps"), [("swin", 48, 2), ("convnext", 48, 2), ("points", 48, 4)])
def test_the_side_network_is_beside_the_last_stage(kind, width, maps):
    parts = tiny.wire("last", kind, rank=3).method.parts
    assert [tuple(part.up.weight.shape) for part in parts] == [(width, 3)] * maps


def attended(part, tokens):
    """Low-rank attention of one sample (N, D), one query and one key at a time."""
    (query, key, value), normed = part.qkv.weight.chunk(3), loops.norm(part.norm, tokens)
    out = []
    for token in normed:
        scores = torch.stack([(query @ token) @ (key @ other) / len(query) ** 0.5 for other in normed])
        mixed = sum(w * (value @ other) for w, other in zip(scores.softmax(0), normed, strict=True))
        out.append(part.up.weight @ mixed)
    return torch.stack(out)


@torch.no_grad()
def test_output_equals_a_loop_over_tokens():
    model, x = tiny.trained("last", "image", rank=3), tiny.inputs("image", 2)
    body = tiny.backbone("image")
    z = [loops.image_tokens(body, x)]
    for layer in range(tiny.DEPTH):
        z.append(loops.block(body, layer, z[-1]))
    updates = []
    for number, part in enumerate(model.method.parts):
        s = sum(z[: number + 1]) + sum(updates)
        updates.append(torch.stack([attended(part, sample) for sample in s]))
    tiny.close(model.pooled(x), loops.norm(body.norm, z[-1] + sum(updates))[:, 0])
    assert not torch.allclose(model.pooled(x), body(x), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", ["image", "points", "eva", "swin", "convnext"])
def test_no_block_makes_a_graph(kind):
    model = tiny.trained("last", kind).train()
    inside = [m for _, m in model.backbone.named_modules() if isinstance(m, torch.nn.Linear)]
    seen = []
    for module in inside:
        module.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    checks.loss(model, tiny.inputs(kind)).backward()
    assert seen and not any(seen)


def test_the_backbone_stays_in_eval_mode():
    model = tiny.trained("last", "image", body=tiny.backbone("image", drop_path_rate=0.5)).train()
    x = tiny.inputs("image")
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
