"""Coordinates: the unit sphere against a loop, in any unit and anywhere, and what is told of odd ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.files import clouds, coordinates
from benchmarks.files.coordinates import in_unit_sphere, single, told
from methods.errors import UserError
from tests.files.test_clouds import made, write


def test_unit_sphere_equals_a_loop_over_clouds():
    x = made(5, points=30)[0] * 7 + 3
    points = in_unit_sphere(Path("x"), x)
    for one, got in zip(x, points, strict=True):
        middle = one - one.mean(0)
        assert np.allclose(got, middle / max(np.linalg.norm(row) for row in middle), atol=1e-5)
    assert points.dtype == np.float32


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1, 10), (1000, 0), (1, 4.5e6), (1e-30, 0), (1e50, 0)])
def test_the_unit_sphere_does_not_depend_on_units_and_origin(scale, offset):
    x = made(3, points=30)[0].astype(np.float64)
    moved = in_unit_sphere(Path("x"), x * scale + offset)  # float32 would round 4,500,000.1 to 4,500,000
    assert np.allclose(moved, in_unit_sphere(Path("x"), x), atol=1e-6)


@pytest.mark.parametrize("cast", [in_unit_sphere, single])
@pytest.mark.parametrize("value", [1e40, 1e200])
def test_values_beyond_float32_are_scaled_before_the_cast_or_refused(value, cast, tmp_path):
    x, y = made(3)
    wide = x.astype(np.float64)
    wide[1] *= value
    write(tmp_path / "ply_data_train0.h5", wide, y)
    if cast is in_unit_sphere and value < coordinates.LARGEST:
        points, _ = clouds.read(tmp_path, "train", cast=cast)
        assert np.allclose(points, in_unit_sphere(Path("x"), x), atol=1e-6)
    else:
        with pytest.raises(UserError, match=r"cloud 1 has (the value|values beyond the range of float32)"):
            clouds.read(tmp_path, "train", cast=cast)


def test_a_cloud_without_extent_is_refused():
    x = made(3)[0]
    x[1] = 0.1
    with pytest.raises(UserError, match="x: cloud 1 has all its points in one place"):
        in_unit_sphere(Path("x"), x)


def test_ranges_zeros_and_overflow_are_told():
    x = np.ones((3, 8, 3))
    x[:, 0], x[0, 1] = (-2, 0.5, 30), 0  # one point at the origin is no padding
    assert told("train", x) == ["train: 8 points, x from -2 to 1, y from 0 to 1, z from 0 to 30"]
    x[1, 4:], x[2, 2:4], x[2, 5, 0] = 0, 0, 1e40
    assert told("test", x)[1:] == [
        "test: 1 clouds have values beyond the range of float32, the first is cloud 2",
        "test: 2 clouds have several points at the origin (0, 0, 0), as padding has; of cloud 1 they are 50%",
    ]
