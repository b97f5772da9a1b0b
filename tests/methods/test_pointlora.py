"""PointLoRA, against its equations token by token and its published total."""

import math

import torch
import torch.nn.functional as F

from benchmarks.backbones.grouping import group
from benchmarks.contract import checks
from benchmarks.training import prefix
from tests.support import loops, tiny


def test_totals_equal_the_published():
    own, total = tiny.count_with_head("pointlora", 15)
    lora = 12 * (8 * (384 + 1152) + 8 * (384 + 384))
    networks = 3 * (2 * 384 * 32 + 32 + 384) + (384 * 32 + 32 + 32 * 1152 + 1152)
    scores = 384 * 192 + 192 + 192 + 1
    assert own == lora + networks + scores == 221_184 + 125_312 + 74_113
    encoder, positions = (3 * 128 + 128) + 256 + (128 * 256 + 256), (3 * 128 + 128) + (128 * 384 + 384)
    head = 768 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15
    assert total == own + encoder + positions + 2 * 384 + head == 772_752  # the published 0.77 M


def test_counts_equal_the_closed_form():
    for layers in (1, 3):
        own = sum(p.numel() for p in tiny.wire("pointlora", "points", layers, rank=2, hidden=5).method.parameters())
        d = tiny.WIDTH
        networks = 3 * (2 * d * 5 + 5 + d) + (d * 5 + 5 + 5 * 3 * d + 3 * d)
        assert own == layers * 2 * (d + 3 * d + d + d) + networks + d * d // 2 + d + 1


def network(part, token):
    return part[2].weight @ F.gelu(part[0].weight @ token + part[0].bias) + part[2].bias


def score(part, token):
    first, _, last = part.layers
    hidden = (first.weight @ token + first.bias).clamp(min=0)
    return 1 / (1 + math.exp(-float(last.weight[0] @ hidden + last.bias[0])))


def chosen(method, body, x, groups, size, count):
    """The scores of one scale's tokens, the best tokens (B, P, D) and their positions, best first."""
    neighborhoods, centers = group(x, groups, size)
    tokens, places = body.encoder(neighborhoods), body.pos_embed(centers)
    scores = [[score(method.scores, token) for token in cloud] for cloud in tokens]
    best = [sorted(range(groups), key=row.__getitem__, reverse=True)[:count] for row in scores]
    pick = torch.stack
    return scores, *(pick([cloud[i] for cloud, i in zip(part, best, strict=True)]) for part in (tokens, places))


def regulariser(scores):
    flat = [p for row in scores for p in row]
    return sum(p * math.log(p + 1e-6) + (1 - p) * math.log(1 - p + 1e-6) for p in flat) / len(flat)


@torch.no_grad()
def test_output_and_loss_equal_a_loop_over_tokens():
    model = tiny.trained("pointlora", "points", 2, rank=2, alpha=2.0, hidden=5, fine=3, coarse=1)
    x, method, body = tiny.inputs("points", 4), model.method, tiny.backbone("points", 2)
    body.load_state_dict(model.backbone.state_dict())  # the same weights without hooks
    h, position = loops.point_tokens(body, x)
    fine, *first = chosen(method, body, x, 4, 4, 3)
    coarse, *second = chosen(method, body, x, 2, 8, 1)
    h = torch.cat([h, first[0], second[0]], dim=1)
    position = torch.cat([position, first[1], second[1]], dim=1)
    assert h.shape[1] == 1 + 4 + 3 + 1

    def linear(layer, name, module, x):
        out = loops.plain(layer, name, module, x)
        if name not in ("qkv", "proj"):
            return out
        low, shared = getattr(method, name)[layer], getattr(method, f"of_{name}")
        return out + loops.each_token(lambda t: low.up.weight @ (low.down.weight @ t) + network(shared, t), x)

    for layer in range(2):
        h = h + position
        h[:, 1:5] += loops.each_token(lambda t: network(method.of_patches, t), h[:, 1:5])
        h[:, 5:] += loops.each_token(lambda t: network(method.of_prompts, t), h[:, 5:])
        h = loops.block(body, layer, h, linear=linear)
    seen = loops.pooled_points(loops.norm(body.norm, h))  # the maximum is over prompts too
    torch.testing.assert_close(model.features(x), seen, rtol=1e-4, atol=1e-4)
    logits = seen @ model.head.weight.T + model.head.bias
    extra = 0.004 * (regulariser(fine) + 0.25 * regulariser(coarse))
    expected = float(F.cross_entropy(logits, checks.LABELS)) + extra
    assert abs(float(checks.loss(model, x)) - expected) < 1e-4


def test_the_scores_learn_from_the_regulariser_alone():
    x = tiny.inputs("points")
    for weight, learns in ((0.004, True), (0.0, False)):
        model = tiny.trained("pointlora", "points", regularizer=weight)
        checks.loss(model, x).backward()
        assert all(bool(p.grad.any()) == learns for p in model.method.scores.parameters())


def test_whole_clouds_are_never_grouped_before_training():
    x = tiny.inputs("points")
    assert prefix.prepared(tiny.wire("pointlora", "points"), x) is x
    assert prefix.prepared(tiny.wire("ppt", "points"), x).ndim == 4


def test_a_cloud_of_few_points_has_them_all_in_a_coarse_group():
    model = tiny.wire("pointlora", "points")
    assert model(tiny.inputs("points")[:, :5]).shape == (4, 5)
