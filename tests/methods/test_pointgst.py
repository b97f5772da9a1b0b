"""PointGST, against its equations node by node and its published total."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.backbones.grouping import group
from methods.errors import UserError
from methods.pointgst import bases, morton
from tests.support import loops, tiny


def test_totals_equal_the_published():
    own, total = tiny.count_with_head("pointgst", 15)
    adapter = (384 * 36 + 36) + (36 * 384 + 384) + (36 * 36 + 36) + 2 * (36 + 36)
    assert own == 12 * adapter == 354_528
    assert total == own + 2 * 384 + (768 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15) == 622_831


@pytest.mark.parametrize(("rank", "layers"), [(5, 1), (8, 3)])
def test_counts_equal_the_closed_form(rank, layers):
    own = sum(p.numel() for p in tiny.wire("pointgst", "points", layers, rank=rank).method.parameters())
    assert own == layers * (2 * tiny.WIDTH * rank + rank + tiny.WIDTH + rank**2 + 5 * rank)


def laplacian_by_loop(centers, kind):
    n = len(centers)
    distance = [[math.dist(a, b) for b in centers] for a in centers]
    smallest = min(d for row in distance for d in row if d > 0)
    weight = [[1 / (distance[i][j] / smallest + (i == j)) for j in range(n)] for i in range(n)]
    degree = [sum(row) for row in weight]
    found = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            scale = 1 if kind == "plain" else math.sqrt(degree[i] * degree[j])
            found[i, j] = ((i == j) * degree[i] - weight[i][j]) / scale
    return found


def eigenvectors(centers, kind):
    columns = np.linalg.eigh(laplacian_by_loop(centers.tolist(), kind))[1].T
    firsts = [next(entry for entry in column if abs(entry) > 0.999 * max(abs(column))) for column in columns]
    return torch.tensor(
        np.stack([c * np.sign(first) for c, first in zip(columns, firsts, strict=True)], axis=1)
    ).float()


def code(center):
    """The Morton code of a centre from the binary digits of its coordinates."""
    x, y, z = (format(int(100 * value) % 2**16, "016b") for value in center)
    return int("".join(a + b + c for a, b, c in zip(y, x, z, strict=True)), 2)


def test_morton_codes_interleave_the_digits_of_coordinates():
    centers = torch.tensor([[[0.0, 0.0, 0.0], [0.01, 0.0, 0.0], [0.0, 0.02, 0.03], [-0.5, 0.7, -0.999]]])
    assert morton(centers)[0].tolist() == [code(center) for center in centers[0]]
    assert morton(centers)[0, :3].tolist() == [0, 0b010, 0b101001]


def adapted_by_loop(adapter, h, centers, config):
    """(1 + G, D) of one cloud -> (1 + G, D)."""
    z = h @ adapter.down.weight.T + adapter.down.bias
    order = sorted(range(len(centers)), key=lambda i: code(centers[i]))
    graphs = [(0, list(range(len(centers))))]
    graphs += [(1, order[start : start + config.local]) for start in range(0, len(order), config.local)]
    hidden = F.silu(z)
    for which, nodes in graphs:
        u = eigenvectors(centers[nodes], config.laplacian)
        u = u.T if config.transform == "fourier" else u
        for j in range(len(nodes)):
            there = sum(u[j, i] * z[1 + node] for i, node in enumerate(nodes))
            update = adapter.shared.weight @ loops.norm(adapter.norms[which], there) + adapter.shared.bias
            there = there + F.silu(update)
            for i, node in enumerate(nodes):
                hidden[1 + node] += u[j, i] * there
    return hidden @ adapter.up.weight.T + adapter.up.bias


@pytest.mark.parametrize("options", [{"transform": "fourier"}, {"laplacian": "normalized"}, {"local": 4}])
def test_output_equals_a_loop_over_nodes(options):
    model = tiny.trained("pointgst", "points", **{"rank": 5, "local": 2} | options)
    body, x = tiny.backbone("points"), tiny.inputs("points", 2)
    body.cls_token, body.cls_pos = model.backbone.cls_token, model.backbone.cls_pos
    _, centers = group(x, body.num_groups, body.group_size)
    with torch.no_grad():
        h, position = loops.point_tokens(body, x)
        for layer in range(tiny.DEPTH):

            def beside(layer, h, u):
                each = zip(h, centers, strict=True)
                adapter, config = model.method.adapters[layer], model.method.config
                return torch.stack([adapted_by_loop(adapter, tokens, at, config) for tokens, at in each])

            h = loops.block(body, layer, h + position, beside=beside)
        expected = loops.pooled_points(loops.norm(body.norm, h))
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-4, atol=1e-4)


def test_a_prediction_does_not_depend_on_other_clouds():
    model, x = tiny.trained("pointgst", "points", laplacian="normalized", local=2), tiny.inputs("points", 3)
    x[1] *= 0.01  # its smallest distance is that of the batch
    with torch.no_grad():
        tiny.close(model(x)[0], model(x[:1])[0])


@pytest.mark.parametrize("laplacian", ["plain", "normalized"])
def test_bases_are_orthogonal_even_if_centres_coincide(laplacian):
    torch.manual_seed(0)
    centers = torch.rand(3, 8, 3)
    centers[1, 5] = centers[1, 2]
    centers[2] = 0
    found = bases(centers, 4, laplacian, "fourier")
    tiny.close(found @ found.transpose(-2, -1), torch.eye(8).expand(3, 2, 8, 8))
    assert (found[0, 1] != 0).sum() == 2 * 4 * 4  # the local one has as many nodes per graph as asked


def test_a_local_graph_must_divide_the_patches():
    with pytest.raises(UserError, match="pointgst: local=3 must divide 4, the patches of this backbone"):
        tiny.wire("pointgst", "points", local=3)
