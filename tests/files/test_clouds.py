"""Point clouds in HDF5: what is read and what is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.files import clouds
from methods.errors import UserError


def made(count: int, seed: int = 0, points: int = 8) -> clouds.Clouds:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, points, 3)).astype(np.float32), np.arange(count) % 3


def write(path: Path, data: object, label: object):
    with h5py.File(path, "w") as file:
        file["data"], file["label"] = data, label


@pytest.mark.parametrize("column", [True, False])
def test_files_are_read_in_the_order_of_their_numbers(column, tmp_path):
    x, y = made(24)
    for part in range(12):
        some = slice(2 * part, 2 * part + 2)
        label = y[some, None].astype(np.uint8) if column else y[some].astype(np.int32)
        write(tmp_path / f"ply_data_train{part}.h5", x[some], label)
    write(tmp_path / "ply_data_test0.h5", x[:3], y[:3])
    points, labels = clouds.read(tmp_path, "train")
    assert (points.dtype, labels.dtype) == (np.float32, np.int64)
    assert np.array_equal(points, x) and np.array_equal(labels, y)
    assert np.array_equal(clouds.read(tmp_path, "test")[0], x[:3])


def test_names_come_from_their_file(tmp_path):
    (tmp_path / "shape_names.txt").write_text("bed\nnight stand\nsofa\n")
    assert clouds.names(tmp_path) == ("bed", "night stand", "sofa")


def drop_label(path: Path):
    with h5py.File(path, "a") as file:
        del file["label"]


def change(key: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    def apply(path: Path):
        with h5py.File(path, "a") as file:
            value = edit(np.asarray(file[key]))
            del file[key]
            file[key] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-200]), "as HDF5: .*truncated"),
        (lambda path: path.write_text("text"), "as HDF5"),
        (Path.unlink, "no file ply_data_train"),
        (drop_label, "no dataset label; it has: data"),
        (change("data", lambda x: x[..., :2]), r"shape \(6, 8, 2\), not \(N, P, 3\)"),
        (change("label", lambda y: y.astype("S1")), "label holds text, not numbers"),
        (change("data", lambda x: x[:0]), r"shape \(6,\), not \(0,\)"),
        (
            change("data", lambda x: np.where(np.arange(6)[:, None, None] == 1, np.nan, x)),
            "cloud 1 has values that are not finite",
        ),
        (change("label", lambda y: y[:-1]), r"label has the shape \(5,\), not \(6,\)"),
        (change("label", lambda y: y + 1), "labels go from 1 to 3, not from 0 to 2"),
        (change("label", lambda y: y - 1), "labels go from -1 to 1, not from 0"),
    ],
)
def test_a_damaged_or_wrong_file_is_named(damage, part, tmp_path):
    path = tmp_path / "ply_data_train0.h5"
    write(path, *made(6))
    (tmp_path / "shape_names.txt").write_text("a\nb\nc\n")
    damage(path)
    with pytest.raises(UserError, match=part) as raised:
        clouds.read(tmp_path, "train")
    assert str(tmp_path) in str(raised.value) and "\n" not in str(raised.value)


def test_files_of_other_sizes_are_not_mixed(tmp_path):
    write(tmp_path / "ply_data_train0.h5", *made(3))
    write(tmp_path / "ply_data_train1.h5", *made(3, points=9))
    with pytest.raises(UserError, match=r"train1\.h5 has clouds of 9 points, .*train0\.h5 of 8"):
        clouds.read(tmp_path, "train")


def test_written_clouds_are_read_back_equal(tmp_path):
    x, y = made(4)
    clouds.write(tmp_path / "new" / "train.h5", (x, y))
    points, labels = clouds.read_file(tmp_path / "new" / "train.h5", 3)
    assert np.array_equal(points, x) and np.array_equal(labels, y)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["train.h5"]


@pytest.mark.skipif("PEFT_BENCH_REALDATA" not in os.environ, reason="PEFT_BENCH_REALDATA is not set")
def test_real_modelnet10_is_read_whole():
    folder = Path(os.environ["PEFT_BENCH_REALDATA"]) / "modelnet10_voxel_hdf5_1024"
    train, test = clouds.read(folder, "train"), clouds.read(folder, "test")
    assert (train[0].shape, test[0].shape) == ((3898, 1024, 3), (889, 1024, 3))
    assert len(clouds.names(folder)) == 10
    assert set(train[1]) == set(test[1]) == set(range(10))
