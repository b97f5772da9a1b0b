"""Damaged and hostile files of point clouds: each ends before any training with one line, and nothing else happens."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import data, run
from tests.support.bait import Bait

ASKED = ["--suite", "folder", "--methods", "linear", "--results", "../results"]
FILE = "ply_data_train0.h5"
NUMBERS = "not numbers; give numbers, and put the names of classes into shape_names.txt in the order of labels"


def write_clouds(task, points=20):
    rng = np.random.default_rng(0)
    task.mkdir(exist_ok=True, parents=True)
    for split, count in (("train", 8), ("test", 4)):
        with h5py.File(task / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = rng.normal(size=(count, points, 3)).astype("f4"), np.arange(count) % 2


def content(change):
    """Other bytes of the training file."""
    return lambda path: path.write_bytes(change(path.read_bytes()))


def replaced(make):
    """Something else in place of the training file; ``make(path)`` puts it there."""

    def damage(path):
        path.unlink()
        make(path)

    return damage


def dataset(name, make):
    """Another dataset in the training file: what ``make(file)`` returns, if it does not write it itself."""

    def damage(path):
        with h5py.File(path, "a") as file:
            del file[name]
            value = make(file)
            if value is not None:
                file[name] = value

    return damage


def points(make):
    return dataset("data", make)


def labels(*values, kind=None):
    return dataset("label", lambda file: np.array(values, kind))


def bytes_elsewhere(file):
    storage = [(str(Path(file.filename).parents[2] / "outside/test/cat/0.png"), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("data", (8, 20, 3), "f4", external=storage)


def virtual(file):
    layout = h5py.VirtualLayout((8, 20, 3), "f4")
    layout[:] = h5py.VirtualSource("ply_data_test0.h5", "data", (8, 20, 3))
    file.create_virtual_dataset("data", layout)


def group(file):
    file.create_group("data")


def unwritten(file):
    file.create_dataset("data", (10**9, 1024, 3), "f4", chunks=(1, 1024, 3))


def not_utf8(path):
    os.rename(path, os.fsencode(path.parent) + b"/ply_data_train\xe9.h5")


def train_twice(path):
    (path.parent / "ply_data_test0.h5").unlink()
    (path.parent / "ply_data_test0.h5").symlink_to(FILE)


def one_class(path):
    for part in path.parent.glob("*.h5"):
        with h5py.File(part, "a") as file:
            file["label"][:] = 0


FILES = [
    (content(lambda old: b""), f"cannot read DIR/x/{FILE} as HDF5: ...; get the file again"),
    (content(lambda old: b"text"), f"cannot read DIR/x/{FILE} as HDF5: ...; get the file again"),
    (content(lambda old: old[: len(old) // 2]), f"cannot read DIR/x/{FILE} as HDF5: ...; get the file again"),
    (
        content(lambda old: old[:96] + bytes(len(old) - 96)),
        f"cannot read DIR/x/{FILE} as HDF5: ...; get the file again",
    ),
    (replaced(os.mkfifo), f"cannot read DIR/x/{FILE}: it is a pipe, not a file"),
    (replaced(os.mkdir), f"cannot read DIR/x/{FILE}: it is a folder, not a file"),
    (
        replaced(lambda path: path.symlink_to("/etc/passwd")),
        f"DIR/x/{FILE} leads to /etc/passwd, outside the data root ...",
    ),
    (train_twice, f"DIR/x: {FILE} (label 0 in train) and ply_data_test0.h5 (label 0 in test) are the same file; ..."),
    (not_utf8, "DIR/x/ply_data_train\\xe9.h5: this name is not UTF-8; rename it"),
    (
        points(lambda file: h5py.ExternalLink("/etc/passwd", "/x")),
        f"DIR/x/{FILE}: data is a link; copy the dataset ...",
    ),
    (points(lambda file: h5py.SoftLink("/label")), f"DIR/x/{FILE}: data is a link; copy the dataset ..."),
    (dataset("label", lambda file: h5py.ExternalLink("gone.h5", "/x")), f"DIR/x/{FILE}: label is a link; ..."),
    (points(bytes_elsewhere), f"DIR/x/{FILE}: data keeps its values in other files; copy them into this file"),
    (points(virtual), f"DIR/x/{FILE}: data keeps its values in other files; copy them into this file"),
    (points(group), f"DIR/x/{FILE}: data is no dataset with values"),
    (points(lambda file: h5py.Empty("f4")), f"DIR/x/{FILE}: data is no dataset with values"),
    (points(unwritten), f"DIR/x/{FILE}: data has the shape (1000000000, 1024, 3), but only 0 bytes are stored; ..."),
    (points(lambda file: np.zeros((8, 0, 3), "f4")), f"DIR/x/{FILE} holds no cloud, or clouds of no point"),
    (points(lambda file: np.zeros(8, [("x", "f4")])), f"DIR/x/{FILE}: data holds ..., {NUMBERS}"),
    (points(lambda file: np.full((8, 20, 3), np.nan)), f"DIR/x/{FILE}: cloud 0 has values that are not finite"),
    (labels(*["a", "b"] * 4, kind=h5py.string_dtype()), f"DIR/x/{FILE}: label holds text, {NUMBERS}"),
    (labels(*[b"a", b"b"] * 4), f"DIR/x/{FILE}: label holds text, {NUMBERS}"),
    (labels(*[0, 1] * 3, 1, 10**9), f"DIR/x/{FILE}: labels go from 0 to 1000000000, not from 0 to 99999"),
    (labels(*[0, 1] * 3, 1, 2**64 - 1, kind="u8"), f"DIR/x/{FILE}: labels go from 0 to 18446744073709551615, not ..."),
    (labels(*[0, 1] * 3, 1, -1), f"DIR/x/{FILE}: labels go from -1 to 1, not from 0 to 99999"),
    (labels(*[0, 1] * 3, 1, 1.5), f"DIR/x/{FILE}: label has values that are not whole numbers; ..."),
    (labels(*[0, 1] * 3, 1, np.nan), f"DIR/x/{FILE}: label has values that are not whole numbers; ..."),
    (labels(*[0] * 8), "DIR/x: test has label 1, which train does not have"),
    (one_class, "DIR/x: its only class is '0'; a task needs two classes or more"),
    (
        lambda path: write_clouds(path.parent, points=15),
        "the clouds of mine/x have 15 points, but point_nano needs 16 ...",
    ),
]


@pytest.mark.parametrize(("damage", "line"), FILES)
def test_a_damaged_file_of_clouds_is_refused(damage, line, tmp_path, refused):
    write_clouds(tmp_path / "mine/x")
    damage(tmp_path / "mine/x" / FILE)
    refused(run.main, ASKED, line)


def nested(depth):
    """A list of a list of a list, each ten times in the next."""
    value = [0]
    for _ in range(depth):
        value = [value] * 10
    return value


NOT_PLAIN = "refused DIR/...: it is no whole pickle of plain arrays and lists: ..."
PICKLES = [
    (lambda path: path.write_bytes(pickle.dumps(Bait(path.with_name("proof")))), f"{NOT_PLAIN}mkdir"),
    (
        lambda path: path.write_bytes(pickle.dumps(nested(30))),
        "DIR/...: sample 0 holds a list, not an array or a number",
    ),
    (lambda path: path.write_bytes(b"\x80\x04]\x94h\0a."), NOT_PLAIN),  # a list that holds itself
    (lambda path: path.write_bytes(b"\x80\x04\x8e" + (2**60).to_bytes(8, "little")), NOT_PLAIN),  # that many bytes
    (lambda path: path.write_bytes(pickle.dumps([np.zeros(50)])[:300]), NOT_PLAIN),
]


@pytest.mark.parametrize(("make", "line"), PICKLES)
def test_a_damaged_pickle_is_refused(make, line, tmp_path, refused):
    path = tmp_path / "mine/modelnet40_normal_resampled/modelnet40_train_8192pts_fps.dat"
    path.parent.mkdir(parents=True)
    make(path)
    refused(data.main, ["convert", "modelnet40"], line)
