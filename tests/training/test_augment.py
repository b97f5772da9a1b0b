"""Augmentation of point clouds stays within its bounds and keeps what it must keep."""

import torch

from benchmarks.backbones.points import PointTransformer
from benchmarks.training.augment import augment
from tests.support import tiny


def test_rotation_keeps_height_and_distance_from_the_axis():
    points = torch.randn(4, 10, 3)
    turned = augment(points, "rotate", torch.Generator().manual_seed(0))
    assert torch.equal(turned[..., 1], points[..., 1])
    assert torch.allclose(turned[..., ::2].norm(dim=-1), points[..., ::2].norm(dim=-1), atol=1e-5)
    assert not torch.allclose(turned, points)


def test_scale_and_shift_are_one_map_per_cloud_within_their_range():
    points = torch.randn(50, 10, 3)
    moved = augment(points, "scale_translate", torch.Generator().manual_seed(0))
    scale = (moved[:, 1] - moved[:, 0]) / (points[:, 1] - points[:, 0])
    shift = moved[:, 0] - points[:, 0] * scale
    assert torch.allclose(moved, points * scale[:, None] + shift[:, None], atol=1e-4)
    assert 2 / 3 - 1e-3 <= scale.min() < 0.75 and 1.4 < scale.max() <= 1.5 + 1e-3
    assert shift.abs().max() <= 0.2 + 1e-3


def test_rotated_groups_are_the_groups_of_the_rotated_cloud():
    body, x = tiny.backbone("points"), tiny.inputs("points")
    assert isinstance(body, PointTransformer)
    turned, moved = (augment(points, "rotate", torch.Generator().manual_seed(0)) for points in (x, body.prepare(x)))
    torch.testing.assert_close(moved, body.prepare(turned), rtol=0, atol=1e-6)
