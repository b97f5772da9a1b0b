"""The head of part segmentation against loops and closed forms, and the tokens that it reads."""

import pytest
import torch

from benchmarks.backbones.parts import EPSILON, NEAREST, PartHead
from methods.parts.geometry import interpolated
from tests.support import tiny


def expected_count(tokens, hidden, categories, parts):
    """Weights, biases, and two numbers per normalised channel."""
    code = 64 * categories + 2 * 64
    propagation = (tokens + 3 + 1) * hidden + 2 * hidden + (hidden + 1) * 1024 + 2 * 1024
    first = (1024 + 2 * tokens + 64 + 1) * 512 + 2 * 512
    return code + propagation + first + (512 + 1) * 256 + 2 * 256 + (256 + 1) * parts


@pytest.mark.parametrize("shape", [(1152, 1536, 16, 50), (288, 384, 16, 50), (144, 192, 3, 9)])
def test_count_is_the_closed_form(shape):
    assert sum(p.numel() for p in PartHead(*shape).parameters()) == expected_count(*shape)


def test_count_on_point_mae_is_the_published_one():
    assert expected_count(1152, 4 * 384, 16, 50) == 5_238_706
    body = tiny.point_mae()
    head = PartHead(3 * body.num_features, 4 * body.num_features, 16, 50)
    own = body.cls_token.numel() + body.cls_pos.numel()  # which Point-MAE's model of segmentation lacks
    total = sum(p.numel() for part in (body, head) for p in part.parameters()) - own
    assert total == 27_063_730  # papers print 27.06 M


def test_points_get_the_tokens_of_their_three_nearest_patches():
    torch.manual_seed(0)
    points, centers, tokens = torch.rand(2, 5, 3), torch.rand(2, 7, 3), torch.rand(2, 7, 4)
    for cloud in range(2):
        for number, point in enumerate(points[cloud]):
            square = [float(((point - center) ** 2).sum()) for center in centers[cloud]]
            near = sorted(range(7), key=lambda patch: square[patch])[:3]
            weights = [1 / (square[patch] + 1e-8) for patch in near]
            own = sum(w * tokens[cloud, patch] for w, patch in zip(weights, near, strict=True)) / sum(weights)
            torch.testing.assert_close(interpolated(points, centers, tokens, NEAREST, EPSILON)[cloud, number], own)


def test_a_point_at_a_centre_gets_the_token_of_its_patch():
    torch.manual_seed(0)
    centers, tokens = torch.rand(1, 7, 3), torch.rand(1, 7, 4)
    torch.testing.assert_close(interpolated(centers, centers, tokens, NEAREST, EPSILON), tokens, rtol=1e-4, atol=1e-4)


def test_every_input_of_the_head_matters():
    torch.manual_seed(0)
    head = PartHead(12, 8, 3, 9).eval()
    seen = {"points": torch.rand(2, 20, 3), "categories": torch.tensor([0, 2]), "tokens": torch.rand(2, 6, 12)}
    seen["centers"] = torch.rand(2, 6, 3)
    with torch.no_grad():
        logits = head(**seen)
        assert logits.shape == (2, 9, 20)
        for name, value in seen.items():
            other = (value + 1) % 3 if name == "categories" else value * 1.1
            assert not torch.allclose(head(**seen | {name: other}), logits), name


@pytest.mark.parametrize("kind", ["points", "gpt", "femae"])
def test_tokens_are_the_normalised_patches_of_three_blocks(kind):
    """Of 12 blocks those with the indices 3, 7 and 11."""
    body, x = tiny.backbone(kind, 12), tiny.inputs("points")
    seen = []
    for block in body.blocks:
        block.register_forward_hook(lambda module, args, output: seen.append(output))
    with torch.no_grad():
        pooled, tokens, centers = body.forward_layers(x)
        patches = [body.normalized(seen[index])[:, body.num_prefix_tokens :] for index in (3, 7, 11)]
        torch.testing.assert_close(tokens, torch.cat(patches, dim=-1))
        torch.testing.assert_close(pooled, body(x))
        assert torch.equal(centers, body.prepare(x)[:, :, 0])
