"""ModelNet40: every layout gives the same clouds; and the few-shot folds."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import data, suites
from benchmarks.files import clouds
from benchmarks.files.root import DATA_ROOT
from benchmarks.suites import checking, modelnet40, modelnet40_files
from benchmarks.suites.modelnet40_files import NAMES
from benchmarks.sweeps import sweep
from methods.errors import UserError

SUITE = suites.get("modelnet40")
TRAIN, TEST = 80, 40
FIRST = 150  # farthest points of a test


def made(count: int, seed: int) -> clouds.Clouds:
    rng = np.random.default_rng(seed)
    return rng.normal(2, 3, size=(count, 1100, 3)).astype(np.float32), np.arange(count) % 40


PARTS = {"train": made(TRAIN, 0), "test": made(TEST, 1)}


def write_hdf5(root: Path):
    folder = root / "modelnet40_ply_hdf5_2048"
    for split, (x, y) in PARTS.items():
        for part, some in enumerate(np.array_split(np.arange(len(y)), 2)):
            clouds.write(folder / f"ply_data_{split}{part}.h5", (x[some], y[some, None]))
    (folder / "shape_names.txt").write_text("\n".join(NAMES))


def write_text(root: Path, splits: tuple[str, ...] = ("train", "test")):
    folder = root / "modelnet40_normal_resampled"
    for split in splits:
        x, y = PARTS[split]
        listed = [f"{NAMES[label]}_{split}{number:04d}" for number, label in enumerate(y)]
        for name, cloud in zip(listed, x, strict=True):
            path = folder / name.rpartition("_")[0] / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savetxt(path, np.hstack([cloud, cloud]), delimiter=",", fmt="%.6f")
        (folder / f"modelnet40_{split}.txt").write_text("\n".join(listed) + "\n")


def write_converted(root: Path):
    for split, part in PARTS.items():
        clouds.write(root / "modelnet40" / f"{split}.h5", part)


def write_fold(root: Path, *, way: int = 5, shot: int = 10, folder: str = "5way_10shot", protocol: int = 4):
    rng = np.random.default_rng(way)
    fold = {
        split: [
            (rng.normal(size=(1100, 6)).astype(np.float32), label, np.int32(label + 7))
            for label in range(way)
            for _ in range(count)
        ]
        for split, count in (("train", shot), ("test", 20))
    }
    path = root / "ModelNetFewshot" / folder / "0.pkl"
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(fold, protocol))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data root, and a table that expects the small data."""
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    task = modelnet40.TASKS["modelnet40"]
    changed = replace(task, train=TRAIN - TRAIN // 10, val=TRAIN // 10, test=TEST)
    monkeypatch.setitem(modelnet40.TASKS, "modelnet40", changed)
    # fewer farthest points are as good for a test, and faster
    monkeypatch.setattr(modelnet40_files, "POINTS", FIRST)
    return tmp_path


def test_table_has_the_published_counts():
    assert modelnet40_files.POINTS == modelnet40.READER.points == 1024
    full = SUITE.tasks["modelnet40"]
    assert (full.train + full.val, full.test, full.classes) == (9843, 2468, 40)
    folds = {name: task for name, task in SUITE.tasks.items() if name != "modelnet40"}
    assert set(folds) == {f"{way}way_{shot}shot_{fold}" for way in (5, 10) for shot in (10, 20) for fold in range(10)}
    for name, task in folds.items():
        way, shot = (int(part.removesuffix(kind)) for part, kind in zip(name.split("_"), ("way", "shot"), strict=False))
        assert (task.classes, task.train + task.val, task.test) == (way, way * shot, way * 20)
    assert len(NAMES) == len(set(NAMES)) == 40 and list(NAMES) == sorted(NAMES)


def in_unit_sphere(x: np.ndarray) -> np.ndarray:
    middle = x.astype(np.float64) - x.astype(np.float64).mean(1, keepdims=True)
    return middle / np.linalg.norm(middle, axis=2).max(1)[:, None, None]


def farthest(cloud: np.ndarray, count: int) -> np.ndarray:
    """The farthest points of one cloud, but none near the origin except the first."""
    chosen, nearest = [0], np.where((cloud**2).sum(1) <= 1e-3, -1, np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((cloud - cloud[chosen[-1]]) ** 2).sum(1))
        chosen.append(int(nearest.argmax()))
    return cloud[chosen]


@pytest.mark.parametrize("write", [write_hdf5, write_text, write_converted])
def test_every_layout_gives_farthest_points_of_the_unit_sphere_first(write, small):
    write(small)  # type: ignore[operator]
    expected = {split: in_unit_sphere(x) for split, (x, _) in PARTS.items()}
    x, y = SUITE.load("modelnet40", "test", frame=None)
    assert x.shape == (TEST, 1024, 3) and np.array_equal(y.numpy(), PARTS["test"][1])
    assert SUITE.pool is not None
    whole, _ = SUITE.pool("modelnet40", "test", frame=None)
    assert torch.equal(whole[:, :1024], x)
    for got, cloud in zip(whole[:3].numpy(), expected["test"], strict=False):
        assert np.allclose(got[0], cloud[0], atol=1e-5) and np.array_equal(farthest(got, FIRST), got[:FIRST])
    for got, cloud in zip(whole.numpy(), expected["test"], strict=True):
        assert np.allclose(np.sort(got.astype(np.float64), axis=0), np.sort(cloud, axis=0), atol=1e-5)
    parts = [SUITE.load("modelnet40", split, frame=None) for split in ("train", "val")]
    assert [len(y) for _, y in parts] == [72, 8]
    # index 0 is the first of the farthest points
    near = [np.abs(expected["train"][:, 0] - one[0].numpy()).max(1) for x, _ in parts for one in x]
    found = [int(distances.argmin()) for distances in near]
    assert sorted(found) == list(range(TRAIN)) and max(distances.min() for distances in near) < 1e-5
    labels = [int(label) for _, y in parts for label in y]
    assert labels == [int(PARTS["train"][1][index]) for index in found]


def test_a_converted_file_of_an_earlier_version_is_refused(small):
    for split, (x, y) in PARTS.items():
        clouds.write(small / "modelnet40" / f"{split}.h5", (x[:, :FIRST], y))
    with pytest.raises(UserError, match=r"train\.h5: it has only the first 150 points .* convert the published files"):
        SUITE.load("modelnet40", "train", frame=None)


@pytest.mark.parametrize(("split", "wins"), [("train", False), ("test", True)])
def test_pickles_win_over_text_where_both_splits_have_one(split, wins, small):
    write_text(small)
    folder = small / "modelnet40_normal_resampled"
    for name in ("train", split):
        (folder / f"modelnet40_{name}_8192pts_fps.dat").touch()
    if wins:
        with pytest.raises(UserError, match="holds pickles of ModelNet40; convert them"):
            modelnet40.source("modelnet40")
    else:
        assert modelnet40.source("modelnet40") == folder


def test_recipes_are_the_published_ones():
    full, fold = (SUITE.recipe(task) for task in ("modelnet40", "10way_20shot_3"))
    assert full == {
        **{"epochs": 300, "batch_size": 32, "warmup_epochs": 10, "clip_grad": 10.0, "drop_path": 0.1},
        **{"augment": "scale_translate", "resample": True},
    }
    assert fold == full | {"epochs": 150}
    asked = sweep.Sweep(methods=("linear",), suite="modelnet40", tasks=("modelnet40", "5way_10shot_0"))
    assert [spec.recipe.epochs for spec in sweep.specs(asked, "float32", absent=True)] == [300, 150]


def test_verify_takes_the_copy_that_lacks_three_clouds_and_no_shorter_one(small, monkeypatch):
    write_hdf5(small)
    task = modelnet40.TASKS["modelnet40"]
    # three fewer of 9,843 leave a tenth as large as it was
    monkeypatch.setitem(modelnet40.TASKS, "modelnet40", replace(task, train=task.train + 3))
    lines = checking.faults(SUITE, "modelnet40")
    assert not [line for line in lines if "inputs" in line]
    monkeypatch.setitem(modelnet40.TASKS, "modelnet40", replace(task, train=task.train + 4))
    with pytest.raises(UserError, match=r"has 80 training and 40 test clouds, not 84 and 40"):
        checking.faults(SUITE, "modelnet40")


@pytest.mark.parametrize("protocol", range(6))
def test_a_fold_of_every_pickle_protocol_is_read(protocol, small):
    write_fold(small, protocol=protocol)
    train, test = modelnet40_files.read_fewshot(modelnet40.source("5way_10shot_0"), 5)
    assert (train[0].shape, test[0].shape) == ((50, 1100, 3), (100, 1100, 3))
    assert np.bincount(test[1]).tolist() == [20] * 5
    assert np.linalg.norm(test[0], axis=2).max(1) == pytest.approx(np.ones(100), abs=1e-5)


def test_a_fold_has_the_counts_of_its_task(small):
    write_fold(small)
    assert checking.faults(SUITE, "5way_10shot_0") == []
    assert SUITE.load("5way_10shot_0", "test", frame=None)[0].shape == (100, 1024, 3)


@pytest.mark.parametrize(("task", "part"), [("5way_10shot_1", "1.pkl"), ("5way_10shot", "did you mean '5way_10shot_")])
@pytest.mark.usefixtures("small")
def test_a_task_that_cannot_be_verified_is_one_line(task, part, complaint):
    assert part in complaint(data.main, "verify", "modelnet40", task)


def test_a_fold_in_a_folder_of_the_other_name_can_be_verified_alone(small):
    write_fold(small, way=10, shot=20, folder="10way20shot")
    assert data.main(["verify", "modelnet40", "10way_20shot_0"]) == 0
    assert len(SUITE.load("10way_20shot_0", "val", frame=None)[1]) == 20


def test_missing_data_are_one_line_with_the_layouts(small):
    with pytest.raises(UserError, match=r"modelnet40_ply_hdf5_2048 .* modelnet40_normal_resampled"):
        SUITE.fingerprint("modelnet40")
    with pytest.raises(UserError, match=r"ModelNetFewshot/10way_20shot/3\.pkl"):
        SUITE.fingerprint("10way_20shot_3")


def test_classes_in_another_order_are_refused(small):
    write_hdf5(small)
    (small / "modelnet40_ply_hdf5_2048" / "shape_names.txt").write_text("\n".join(NAMES[::-1]))
    with pytest.raises(UserError, match=r"shape_names\.txt does not list the classes of ModelNet40"):
        SUITE.load("modelnet40", "train", frame=None)


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda path: path.write_text(100 * "1,2,3\n"), "has 100 points; 150 are needed"),
        (lambda path: path.write_text("1,2,x\n"), "cannot read cloud"),
        (Path.unlink, "cannot read .*No such file"),
    ],
)
def test_a_damaged_text_cloud_is_named(damage, part, small):
    write_text(small)
    path = small / "modelnet40_normal_resampled" / "bed" / "bed_train0002.txt"
    damage(path)  # type: ignore[operator]
    with pytest.raises(UserError, match=part) as raised:
        SUITE.load("modelnet40", "train", frame=None)
    assert "bed_train0002.txt" in str(raised.value)
