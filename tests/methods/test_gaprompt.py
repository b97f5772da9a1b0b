"""GAPrompt, against its equations point by point and token by token, and its count."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from benchmarks.backbones.grouping import group
from methods.errors import UserError
from methods.parts.geometry import interpolated
from methods.parts.shiftnet import EPSILON, NEAREST, embedded
from tests.support import loops, tiny


def layers(*widths):
    return sum(a * b + b + 2 * b for a, b in pairwise(widths))


def test_totals_equal_the_closed_forms():
    own, total = tiny.count_with_head("gaprompt", 15)
    shift = layers(27, 64, 32, 64) + layers(64, 64, 32, 8) + layers(72, 64, 32) + layers(59, 32, 32)
    shift += 32 * 64 + 64 + 64 * 3 + 3
    shape = 64 * 8 * 16 + 16 + 16 * 384 + 384
    adapter = 2 * 384 + 2 * 384 * 16 + 16 + 384
    assert own == shift + shape + 5 * 3 + 10 * 3 + 6 * 10 * 384 + 12 * (adapter + 2 * 384) == 233_880
    assert total == own + 2 * 384 + (3 * 384 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15) == 600_487
    unread = 12 * (384 + 1) + 6 * 10 * 384  # a scale per block, and the prompts of the other blocks
    assert total + unread == 628_147  # the published 0.6 M


def test_coordinates_are_embedded_with_four_frequencies():
    x, y, z = 0.3, -0.2, 0.9
    found = embedded(torch.tensor([x, y, z]))
    waves = [f(2**k * value) for k in range(4) for f in (math.sin, math.cos) for value in (x, y, z)]
    tiny.close(found, torch.tensor([x, y, z, *waves]))


def test_interpolation_weighs_the_nearest_by_distance():
    torch.manual_seed(0)
    targets, sources, features = torch.randn(2, 5, 3), torch.randn(2, 40, 3), torch.randn(2, 40, 6)
    found = interpolated(targets, sources, features, NEAREST, EPSILON)
    for cloud in range(2):
        for i, target in enumerate(targets[cloud]):
            square = [(float((target - s).square().sum()), j) for j, s in enumerate(sources[cloud])]
            near = [(1 / (d + 1e-4), j) for d, j in sorted(square)[:32]]
            expected = sum(w * features[cloud, j] for w, j in near) / sum(w for w, _ in near)
            torch.testing.assert_close(found[cloud, i], expected, rtol=1e-4, atol=1e-5)


def layered(part, x):
    """Linear, BatchNorm with running statistics, ReLU, one after the other."""
    for linear, norm in zip(part.linears, part.norms, strict=True):
        x = x @ linear.weight.T + linear.bias
        x = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        x = x.clamp(min=0)
    return x


def farthest(places, count):
    chosen = [0]
    while len(chosen) < count:
        chosen.append(max(range(len(places)), key=lambda i: min((places[i] - places[j]).norm() for j in chosen)))
    return chosen


def nearest(place, places, count):
    return sorted(range(len(places)), key=lambda j: float((place - places[j]).norm()))[:count]


def shifted(net, points):
    """One cloud (N, 3) to its moved points and the summary of its shape, for 4 groups of 4 points."""
    centers = points[farthest(points, 4)]
    features = torch.stack([layered(net.first, embedded(points[nearest(c, points, 4)])).max(0).values for c in centers])
    corners = farthest(centers, 2)
    second = [layered(net.second, features[nearest(centers[i], centers, 2)]).max(0).values for i in corners]
    back = interpolated(centers[None], centers[corners][None], torch.stack(second)[None], NEAREST, EPSILON)[0]
    centered = layered(net.to_centers, torch.cat([features, back], dim=-1))
    own = torch.cat(
        [embedded(points), interpolated(points[None], centers[None], centered[None], NEAREST, EPSILON)[0]], dim=-1
    )
    first, _, _, last = net.move
    m = (layered(net.to_points, own) @ first.weight.T + first.bias).clamp(min=0) @ last.weight.T + last.bias
    return points + net.share * points * m, torch.cat(second)


def spread(part, tokens, centers):
    """What reaches the patches (G, D): of two sub-centres, each with the maximum of its two nearest tokens."""
    norm, sources, found = part.norm, farthest(centers, 2), []
    for i in sources:
        top = tokens[nearest(centers[i], centers, 2)].max(0).values
        top = (top - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
        found.append(F.gelu(top) + 0.3 * tokens[i])
    out = []
    for center in centers:
        weights = [1 / ((center - centers[i]).square().sum() + 1e-8) for i in sources]
        out.append(sum(w * s for w, s in zip(weights, found, strict=True)) / sum(weights))
    return torch.stack(out)


def adapted(part, x):
    hidden = loops.norm(part.norm, x) @ part.bottleneck.down.weight.T + part.bottleneck.down.bias
    hidden = hidden * torch.sigmoid(1.702 * hidden)
    return 0.7 * (hidden @ part.bottleneck.up.weight.T + part.bottleneck.up.bias)


@torch.no_grad()
@pytest.mark.parametrize("propagation", ["permutation", "replacement"])
def test_output_equals_the_equations(propagation):
    model = tiny.trained("gaprompt", "points", prompts=2, hidden=5, propagation=propagation)
    method, x = model.method, tiny.inputs("points", 2)
    for name, buffer in method.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.3)
    body = tiny.backbone("points")
    body.load_state_dict(model.backbone.state_dict())  # the same weights without hooks
    moved, summary = (torch.stack(part) for part in zip(*(shifted(method.shift, cloud) for cloud in x), strict=True))
    first, _, _, last = method.shape
    s = F.gelu(summary @ first.weight.T + first.bias) @ last.weight.T + last.bias
    cloud = torch.cat([moved, 5 * method.point_prompts.expand(2, -1, -1)], dim=1)
    h, position = loops.point_tokens(body, cloud)
    _, centers = group(cloud, 4, 4)
    for layer in range(tiny.DEPTH):
        h, prompted = h + position, layer < 1
        if prompted:
            prompts = method.prompts[layer].prompts + body.pos_embed(method.prompt_pos)
            h = torch.cat([h, prompts + 0.5 * s[:, None]], dim=1)
        h = loops.block(body, layer, h)
        patches, prompts = h[:, 1:5], h[:, 5:]
        halves = (prompts, patches) if propagation == "permutation" else (patches[:, : 4 - prompts.shape[1]], prompts)
        standing = torch.cat(halves, dim=1)[:, :4]
        patches = patches + 0.3 * torch.stack([spread(method.spreads[layer], standing[i], centers[i]) for i in (0, 1)])
        patches = patches + adapted(method.adapters[layer], patches + 0.5 * s[:, None] * prompted)
        h = torch.cat([h[:, :1], patches], dim=1)
    expected = torch.cat([loops.pooled_points(loops.norm(body.norm, h)), s], dim=-1)
    torch.testing.assert_close(model.features(x), expected, rtol=1e-3, atol=1e-3)


def test_moved_points_learn_through_the_groups():
    model, x = tiny.trained("gaprompt", "points"), tiny.inputs("points")
    model(x).sum().backward()
    assert all(p.grad.any() for p in model.method.shift.parameters())


def test_prompts_are_in_one_block_to_all():
    for prompted in (0, 4):
        with pytest.raises(UserError, match=f"gaprompt: prompted={prompted} must be from 1 to 3, the blocks"):
            tiny.wire("gaprompt", "points", prompted=prompted)
