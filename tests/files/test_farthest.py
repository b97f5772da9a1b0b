"""Farthest points, against a loop over points."""

import pytest
import torch

from benchmarks.files.farthest import farthest_first, farthest_points


def cloud(batch: int = 3, size: int = 40) -> torch.Tensor:
    return torch.randn(batch, size, 3, generator=torch.Generator().manual_seed(0))


def loop_farthest(points: torch.Tensor, count: int, forbidden: set[int]) -> list[int]:
    chosen = [0]
    while len(chosen) < count:
        best, place = -1.0, -1
        for i, point in enumerate(points):
            distance = min(float((point - points[j]).square().sum()) for j in chosen)
            if i not in forbidden and distance > best:
                best, place = distance, i
        chosen.append(place)
    return chosen


def test_farthest_points_equal_a_loop():
    points = cloud()
    expected = [loop_farthest(one, 9, set()) for one in points]
    assert farthest_points(points, 9).tolist() == expected


def test_farthest_points_can_pass_over_the_origin_as_pointnet2_does():
    points = cloud()
    points[:, 5], points[:, 7] = 0.0, 0.01
    expected = [loop_farthest(one, 39 - 1, {5, 7}) for one in points]
    assert farthest_points(points, 38, skip_origin=True).tolist() == expected


def test_a_cloud_of_exactly_that_many_points_keeps_its_order():
    assert farthest_points(cloud(2, 6), 6).tolist() == [list(range(6))] * 2


@pytest.mark.parametrize("batch", [3, 70])  # 70 are more than one batch
def test_farthest_points_come_first_and_the_others_keep_their_order(batch):
    points = cloud(batch)
    points[:, 5] = 0.0  # at the origin, where no point is picked
    for one, got in zip(points[::23], farthest_first(points.numpy(), 9)[::23], strict=True):
        first = loop_farthest(one, 9, {5})
        order = [*first, *(i for i in range(40) if i not in first)]
        assert torch.equal(torch.from_numpy(got), one[order])


def test_points_at_the_origin_alone_are_all_kept():
    points = torch.zeros(1, 4, 3)
    points[0, 2] = 1.0  # the only point that can be picked after the first
    got = farthest_first(points.numpy(), 4)[0]
    assert sorted(got.tolist()) == sorted(points[0].tolist())
