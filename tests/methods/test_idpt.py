"""IDPT, against its equations patch by patch and its published totals."""

import pytest
import torch
from torch import nn

from methods.idpt import EdgeConv, PromptNetwork, nearest
from tests.support import loops, tiny


@pytest.mark.parametrize(("head", "parts", "published"), [("all", 3, 1_696_783), ("prompt", 1, 1_500_175)])
def test_totals_equal_the_published(head, parts, published):
    own, total = tiny.count_with_head("idpt", 15, head=head)
    assert own == 3 * (2 * 384 * 384 + 2 * 384) + (3 * 384 * 384 + 2 * 384) == 1_330_176
    assert total == own + 2 * 384 + (parts * 384 * 256 + 256 * 256 + 256 * 15 + 6 * 256 + 15) == published


@pytest.mark.parametrize("options", [{}, {"neighbors": 2}, {"block": 1}])
def test_the_count_does_not_depend_on_neighbours_or_place(options):
    own = sum(p.numel() for p in tiny.wire("idpt", "points", **options).method.parameters())
    assert own == 9 * tiny.WIDTH**2 + 8 * tiny.WIDTH


def normalized(norm, rows):
    """BatchNorm of rows (R, D): of their own statistics in training mode, of the running ones in eval mode."""
    mean, var = norm.running_mean, norm.running_var
    if norm.training:
        mean = rows.mean(dim=0)
        var = (rows - mean).square().mean(dim=0)
    return (rows - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias


def leaky(x):
    return torch.where(x > 0, x, 0.2 * x)


def edge_conv_by_loop(conv, clouds):
    """(B, G, D) -> (B, G, D): edges one by one, [y_j - y_i; y_i] through the whole matrix."""
    edges = []
    for y in clouds:
        for i in range(len(y)):
            distance = [float((y[j] - y[i]).detach().square().sum()) for j in range(len(y))]
            near = sorted(range(len(y)), key=distance.__getitem__)[: conv.neighbors]
            edges.append(torch.stack([conv.linear.weight @ torch.cat([y[j] - y[i], y[i]]) for j in near]))
    count = len(edges[0])
    out = leaky(normalized(conv.norm, torch.cat(edges)))
    return out.view(*clouds.shape[:2], count, -1).max(dim=2).values


def prompt_by_loop(network, y):
    outputs = []
    for conv in network.convs:
        y = edge_conv_by_loop(conv, y)
        outputs.append(y)
    rows = [network.fuse.weight @ patch for cloud in torch.cat(outputs, dim=-1) for patch in cloud]
    return leaky(normalized(network.norm, torch.stack(rows))).view(*y.shape[:2], -1).max(dim=1, keepdim=True).values


def random_network(neighbors, dim=6):
    """Random weights and running statistics."""
    torch.manual_seed(4)
    network = PromptNetwork(dim, neighbors)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn_like(parameter) * 0.3
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return network


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("neighbors", [1, 3, 20])  # of 7 patches
def test_prompt_and_gradients_equal_a_loop_over_edges(neighbors, training):
    network, y = random_network(neighbors).train(training), torch.randn(3, 7, 6, requires_grad=True)
    weight, results = torch.randn(3, 1, 6), []
    for form in (lambda y: prompt_by_loop(network, y), network):  # the loop first: it moves no running statistics
        prompt = form(y)
        results.append((prompt, *torch.autograd.grad((prompt * weight).sum(), [y, *network.parameters()])))
    for by_loop, got in zip(*results, strict=True):
        torch.testing.assert_close(got, by_loop, rtol=1e-4, atol=1e-5)  # sums of up to 147 edges in another order


def test_edge_conv_moves_running_statistics_by_all_edges():
    torch.manual_seed(4)
    conv, y = EdgeConv(6, 3).train(), torch.randn(2, 5, 6)
    with torch.no_grad():
        conv(y)
        edges = [
            conv.linear.weight @ torch.cat([c[j] - c[i], c[i]])
            for c in y
            for i, near in enumerate(nearest(c[None], 3)[0])
            for j in near
        ]
    torch.testing.assert_close(conv.norm.running_mean, 0.1 * torch.stack(edges).mean(dim=0))


@pytest.mark.parametrize(("block", "first", "head"), [(None, tiny.DEPTH - 1, "all"), (1, 1, "prompt"), (2, 2, "all")])
def test_output_equals_the_equations(block, first, head):
    model, x = tiny.trained("idpt", "points", neighbors=3, block=block, head=head), tiny.inputs("points", 2)
    body = tiny.backbone("points")
    body.cls_token, body.cls_pos = model.backbone.cls_token, model.backbone.cls_pos
    with torch.no_grad():
        h, position = loops.point_tokens(body, x)
        for layer in range(tiny.DEPTH):
            if layer == first:
                h = torch.cat([h, prompt_by_loop(model.method.network, h[:, 1:])], dim=1)
            h[:, : position.shape[1]] += position  # the prompt has none
            h = loops.block(body, layer, h)
        h = loops.norm(body.norm, h)
        assert h.shape[1] == 1 + body.num_groups + 1
        parts = [h[:, 0], h[:, -1], h[:, 1:-1].max(dim=1).values]
        expected = torch.cat(parts, dim=-1) if head == "all" else parts[1]
        got = model.method.features(model.pooled(x))
        tiny.close(got, expected)
        torch.testing.assert_close(model(x), got @ model.head.weight.T + model.head.bias)
