"""Conversion of ModelNet40, and its reader of pickles, which reads plain data and never runs code."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import data, suites
from benchmarks.files import clouds, pickles
from benchmarks.files.root import DATA_ROOT
from benchmarks.suites import modelnet40_files
from benchmarks.suites.modelnet40_files import NAMES
from methods.errors import UserError
from tests.suites.test_modelnet40 import FIRST, PARTS, farthest, in_unit_sphere, write_text

FOLDER = "modelnet40_normal_resampled"


def write_pickles(root: Path, protocol: int = 4):
    (root / FOLDER).mkdir(parents=True)
    for split, (x, y) in PARTS.items():
        normals = [np.hstack([cloud, cloud]) for cloud in x]
        labels = [np.array([label], dtype=np.int32) for label in y]
        path = root / FOLDER / f"modelnet40_{split}_8192pts_fps.dat"
        path.write_bytes(pickle.dumps([normals, labels], protocol))


class Evil:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_are_read(protocol, tmp_path):
    value = {
        "points": [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=">i4").reshape(3, 2))],
        "empty": np.zeros((0, 3), np.float16),
        "pair": (np.float64(0.25), np.int8(-3), np.bool_(True)),
        "text": ["a", b"b", None, 1, 2.5, True],
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(value, protocol))
    got = pickles.load(tmp_path / "x.pkl")
    for one, other in zip(got["points"] + [got["empty"]], value["points"] + [value["empty"]], strict=True):
        assert one.dtype == other.dtype and np.array_equal(one, other)
    assert got["pair"] == (0.25, -3, True) and got["text"] == value["text"]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (OrderedDict(a=1), "collections.OrderedDict"),
        ({1, 2}, "set"),
        (np.array([object(), None]), "dtype 'O8'"),
        (np.zeros(2, [("a", "f4")]), "dtype 'V4'"),
        (np.array(["a"]), "dtype 'U1'"),
        (Path("x"), "Path"),
        (np.ndarray, "it holds a type"),
        (os.system, "system"),
    ],
)
def test_anything_else_is_refused(value, part, tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([value]))
    with pytest.raises(UserError, match=part) as raised:
        pickles.load(tmp_path / "x.pkl")
    assert "x.pkl" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_is_refused_and_does_nothing(protocol, tmp_path):
    bait = pickle.dumps({"train": [Evil(tmp_path / "proof")]}, protocol)
    (tmp_path / "x.pkl").write_bytes(bait)
    with pytest.raises(UserError, match="mkdir"):
        pickles.load(tmp_path / "x.pkl")
    assert not (tmp_path / "proof").exists()
    pickle.loads(bait)  # the bait is real
    assert (tmp_path / "proof").exists()


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_cut_pickle_is_one_line(kept, tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps([np.zeros(50)])[:kept])
    with pytest.raises(UserError, match=r"refused .*x\.pkl"):
        pickles.load(tmp_path / "x.pkl")


@pytest.mark.parametrize("from_text", [True, False])
def test_conversion_keeps_all_points_with_the_farthest_first_and_labels(from_text, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(DATA_ROOT, "elsewhere")
    monkeypatch.setattr(modelnet40_files, "POINTS", FIRST)
    (write_text if from_text else write_pickles)(tmp_path)
    assert data.main(["convert", "modelnet40", "--data-root", str(tmp_path)]) == 0
    assert "train.h5" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "modelnet40").iterdir()) == ["test.h5", "train.h5"]
    for split, (x, y) in PARTS.items():
        points, labels = clouds.read_file(tmp_path / "modelnet40" / f"{split}.h5", len(NAMES))
        assert points.shape == x.shape and np.array_equal(labels, y)
        for got, cloud in zip(points[:2], in_unit_sphere(x), strict=False):
            assert np.allclose(got[0], cloud[0], atol=1e-5) and np.array_equal(farthest(got, FIRST), got[:FIRST])
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    read, _ = modelnet40_files.read_converted(tmp_path / "modelnet40")
    stored, _ = clouds.read_file(tmp_path / "modelnet40" / "train.h5", len(NAMES))
    assert np.array_equal(read[0], stored)  # what is in order is not changed again
    with h5py.File(tmp_path / "modelnet40" / "train.h5", "r+") as file:
        file["data"][len(stored) // 2 :] = 0
    with pytest.raises(UserError, match=r"train\.h5 is damaged: .*; convert the published files again"):
        modelnet40_files.read_converted(tmp_path / "modelnet40")


def test_pickles_that_are_not_converted_name_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    write_pickles(tmp_path)
    with pytest.raises(UserError, match=r"python -m benchmarks\.data convert modelnet40"):
        suites.get("modelnet40").fingerprint("modelnet40")


def test_a_failed_conversion_leaves_no_file_of_its_split(tmp_path, monkeypatch, complaint):
    monkeypatch.setenv(DATA_ROOT, "elsewhere")
    write_pickles(tmp_path)
    path = tmp_path / FOLDER / "modelnet40_train_8192pts_fps.dat"
    path.write_bytes(pickle.dumps([[Evil(tmp_path / "proof")], [0]]))
    assert path.name in complaint(data.main, "convert", "modelnet40", "--data-root", str(tmp_path))
    assert not (tmp_path / "modelnet40").exists() and not (tmp_path / "proof").exists()


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["convert", "modelnet"], "did you mean 'modelnet40'"),
        (["convert", "offline"], "unknown suite with files to convert 'offline'; known: modelnet40"),
        (["convert", "modelnet40"], "nothing to convert"),
    ],
)
def test_wrong_input_is_one_line(argv, part, tmp_path, monkeypatch, complaint):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    assert part in complaint(data.main, *argv)
