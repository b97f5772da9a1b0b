"""Augmentation of point clouds stays within its bounds and keeps what it must keep."""

import pytest
import torch

from benchmarks.backbones.points import PointTransformer
from benchmarks.training.augment import augment, resample
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


def drawn(size: int, points: int, seed: int, x: torch.Tensor) -> torch.Tensor:
    """What a step should see: shuffle, farthest points one by one from the first, a random choice of these."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(len(x), size, generator=generator).argsort(dim=1)
    chosen, pool = torch.zeros(0, dtype=torch.long), min(size, points * 1200 // 1024)
    clouds = []
    for one, places in zip(x, order, strict=True):
        one, picked = one[places], [0]
        while pool < size and len(picked) < pool:
            picked.append(int(torch.cdist(one, one[picked]).amin(dim=1).argmax()))
        clouds.append(one[picked] if pool < size else one)
    chosen = torch.randperm(pool, generator=generator)[:points]
    return torch.stack(clouds)[:, chosen]


@pytest.mark.parametrize(("size", "points"), [(64, 64), (70, 64), (100, 64)])
def test_a_step_draws_from_farthest_points_in_a_new_order(size, points):
    x = torch.randn(3, size, 3, generator=torch.Generator().manual_seed(1))
    for seed in (0, 1):
        got = resample(x, points, torch.Generator().manual_seed(seed))
        assert torch.equal(got, drawn(size, points, seed, x))
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(resample(x, points, generator), resample(x, points, generator))


def test_rotated_groups_are_the_groups_of_the_rotated_cloud():
    body, x = tiny.backbone("points"), tiny.inputs("points")
    assert isinstance(body, PointTransformer)
    turned, moved = (augment(points, "rotate", torch.Generator().manual_seed(0)) for points in (x, body.prepare(x)))
    torch.testing.assert_close(moved, body.prepare(turned), rtol=0, atol=1e-6)
