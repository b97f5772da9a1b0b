"""ScanObjectNN: its three variants are found under their published paths and read as they are."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import data, suites
from benchmarks.files import clouds
from benchmarks.files.root import DATA_ROOT
from benchmarks.suites import checking, pointclouds, scanobjectnn
from methods.errors import UserError

SUITE = suites.get("scanobjectnn")
PATHS = {
    "obj_bg": "main_split/{}_objectdataset.h5",
    "obj_only": "main_split_nobg/{}_objectdataset.h5",
    "pb_t50_rs": "main_split/{}_objectdataset_augmentedrot_scale75.h5",
}


def made(count: int, seed: int) -> clouds.Clouds:
    rng = np.random.default_rng(seed)
    return rng.normal(3, 2, size=(count, 2048, 3)).astype(np.float32), np.arange(count) % 15


def write(root: Path) -> dict[str, tuple[clouds.Clouds, clouds.Clouds]]:
    """Small data in the published layout: 150 training and 30 test clouds a task."""
    written = {}
    for seed, (task, path) in enumerate(PATHS.items()):
        written[task] = made(150, seed), made(30, seed + 10)
        for split, part in zip(("training", "test"), written[task], strict=True):
            clouds.write(root / path.format(split), part)
    return written


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty data root, and a table that expects the small data."""
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    for name, task in scanobjectnn.TASKS.items():
        monkeypatch.setitem(scanobjectnn.TASKS, name, replace(task, train=135, val=15, test=30))
    return tmp_path


def test_table_has_the_published_counts():
    counts = {name: (task.train + task.val, task.test, task.classes) for name, task in SUITE.tasks.items()}
    assert counts == {"obj_bg": (2309, 581, 15), "obj_only": (2309, 581, 15), "pb_t50_rs": (11416, 2882, 15)}
    assert [task.val for task in SUITE.tasks.values()] == [231, 231, 1142]


@pytest.mark.parametrize("place", ["scanobjectnn", "ScanObjectNN", "."])
def test_splits_are_the_files_as_they_are(place, small):
    written = write(small / place)
    for task, (train, test) in written.items():
        assert checking.faults(SUITE, task) == []
        parts = [SUITE.load(task, split, frame=None) for split in ("train", "val")]
        rows = {row.tobytes(): int(y) for x, labels in parts for row, y in zip(x.numpy(), labels, strict=True)}
        assert rows == {row.tobytes(): int(y) for row, y in zip(*train, strict=True)}
        x, y = SUITE.load(task, "test", frame=None)
        assert torch.equal(x, torch.from_numpy(test[0])) and torch.equal(y, torch.from_numpy(test[1]))


def test_fingerprints_tell_data_apart_and_hold(small):
    written = write(small / "scanobjectnn")
    prints = [SUITE.fingerprint(task) for task in SUITE.tasks]
    (x, y), _ = written["obj_bg"]
    for changed in (0, 1):
        x[0, 0, 0] += changed
        clouds.write(small / "scanobjectnn" / PATHS["obj_bg"].format("training"), (x, y))
        pointclouds.splits.cache_clear()  # as in another process
        pointclouds.fingerprint.cache_clear()
        prints.append(SUITE.fingerprint("obj_bg"))
    assert prints[3] == prints[0] and len(set(prints)) == 4


@pytest.mark.usefixtures("small")
def test_missing_data_are_one_line_with_the_page_and_the_layout(complaint):
    line = complaint(data.main, "verify", "scanobjectnn")
    for part in ("https://hkust-vgd.github.io/scanobjectnn/", "terms of use", "main_split/training_objectdataset.h5"):
        assert part in line


def test_a_short_file_is_refused_with_both_counts(small):
    write(small / "scanobjectnn")
    clouds.write(small / "scanobjectnn" / PATHS["obj_only"].format("test"), made(29, 0))
    with pytest.raises(UserError, match="obj_only has 150 training and 29 test clouds, not 150 and 30"):
        SUITE.load("obj_only", "train", frame=None)


def test_a_file_of_other_points_is_named(small):
    write(small / "scanobjectnn")
    x, y = made(30, 0)
    path = small / "scanobjectnn" / PATHS["obj_only"].format("test")
    clouds.write(path, (x[:, :1024], y))
    with pytest.raises(UserError) as raised:
        SUITE.load("obj_only", "train", frame=None)
    assert str(raised.value) == f"{path} has clouds of 1024 points, not 2048; get the file again"
