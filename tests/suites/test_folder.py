"""A suite of one's own: what becomes a task, by what name it goes, and a run from end to end."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from benchmarks import data, run, suites
from benchmarks.files import contents
from benchmarks.files.root import DATA_ROOT
from benchmarks.records import store
from benchmarks.sweeps import listing
from tests.support.layout_files import write_image_folder, write_lists

QUICK = ["--methods", "linear", "--recipe", "epochs=2", "warmup_epochs=0", "batch_size=8"]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder named mine, which is the data root."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def write_clouds(folder: Path, classes: int = 2, counts: tuple[int, int] = (20, 8), names: str | None = None) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in zip(("train", "test"), counts, strict=True):
        labels = np.arange(count) % classes
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            file["data"] = (rng.standard_normal((count, 300, 3)) * (1 + labels[:, None, None])).astype(np.float32)
            file["label"] = labels.astype(np.uint8)[:, None]
    if names:
        (folder / "shape_names.txt").write_text(names)


def write_all(root: Path) -> None:
    write_lists(root / "lists", classes=3, counts=(12, 6, 9))
    write_image_folder(root / "classes", train=10, test=5)
    write_clouds(root / "clouds", names="cone\nball\n")
    (root / "notes").mkdir()
    (root / ".hidden" / "train").mkdir(parents=True)


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert run.main(list(argv)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_every_folder_in_a_known_layout_is_a_task(root: Path) -> None:
    write_all(root)
    suite = suites.get("folder")
    table = {t.name: (t.modality, t.labels, t.group, t.train, t.val, t.test) for t in suite.tasks.values()}
    assert table == {
        "classes": ("image", ("cat", "dog"), "own", 18, 2, 10),
        "clouds": ("points", ("cone", "ball"), "own", 18, 2, 8),
        "lists": ("image", ("0", "1", "2"), "own", 12, 6, 9),
    }
    assert suite.name == "mine"
    assert suite.backbones == {"image": "vit_nano", "points": "point_nano"}
    assert suite.recipes == {
        "image": {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "drop_path": 0.1},
        "points": {"epochs": 300, "batch_size": 32, "warmup_epochs": 10, "drop_path": 0.1, "clip_grad": 10.0},
    }


def test_samples_are_those_of_the_files_each_in_one_split(root: Path) -> None:
    write_all(root)
    suite = suites.get("folder")
    for name, task in suite.tasks.items():
        for split in ("train", "val", "test"):
            x, y = suite.load(name, split, size=6)
            assert len(x) == len(y) == getattr(task, split)
            assert x.shape[1:] == ((300, 3) if task.modality == "points" else (3, 6, 6))
            assert (x.dtype, y.dtype) == (torch.float32 if task.modality == "points" else torch.uint8, torch.int64)
    with h5py.File(root / "clouds" / "ply_data_train0.h5") as file:
        points, labels = torch.from_numpy(file["data"][:]), torch.from_numpy(file["label"][:, 0].astype(np.int64))
    x, y = (
        torch.cat(parts) for parts in zip(*(suite.load("clouds", s, size=None) for s in ("train", "val")), strict=True)
    )
    order, expected = x[:, 0, 0].argsort(), points[:, 0, 0].argsort()
    assert torch.equal(x[order], points[expected]) and torch.equal(y[order], labels[expected])
    assert suite.load("clouds", "val", size=None)[1].tolist().count(0) == 1


def test_fingerprints_tell_tasks_and_changes_apart(root: Path) -> None:
    write_all(root)
    suite = suites.get("folder")
    before = {name: suite.fingerprint(name) for name in suite.tasks}
    assert len(set(before.values())) == 3
    with h5py.File(root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["label"][0] = 1
    changed = suites.get("folder")
    assert {name for name in before if changed.fingerprint(name) != before[name]} == {"clouds"}


def test_the_root_itself_may_be_the_only_task(root: Path) -> None:
    write_lists(root, classes=2)
    write_lists(root / "other")
    suite = suites.get("folder")
    assert (suite.name, list(suite.tasks)) == ("mine", ["mine"])
    assert suite.load("mine", "test", size=4)[0].shape == (12, 3, 4, 4)


def test_the_suite_goes_by_the_name_of_the_root(root: Path) -> None:
    write_lists(root / "lists")
    assert suites.get("mine").fingerprint("lists") == suites.get("folder").fingerprint("lists")
    with pytest.raises(ValueError, match=r"unknown suite 'min'; known: .*offline.*--data-root DIR"):
        suites.get("min")


def test_a_linked_folder_keeps_its_own_name(root: Path, tmp_path: Path) -> None:
    write_lists(tmp_path / "far" / "blob")
    (root / "lists").symlink_to(tmp_path / "far" / "blob")
    assert list(suites.get("folder").tasks) == ["lists"]


@pytest.mark.parametrize("name", ["offline", "vtab1k", "folder"])
def test_a_root_with_the_name_of_a_suite_is_refused(name: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lists(root.with_name(name) / "lists")
    line = complaint(capsys, "--suite", "folder", "--data-root", str(root.with_name(name)), *QUICK)
    assert f"'{name}' already" in line and "rename" in line


def test_nothing_to_find_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(capsys, "--suite", "folder", *QUICK)
    assert str(root) in line and "train800.txt" in line and "ply_data_train*.h5" in line and "--data-root" in line
    line = complaint(capsys, "--suite", "folder", "--data-root", str(root / "nowhere"), *QUICK)
    assert f"{root / 'nowhere'} is not there" in line


def test_all_that_is_wrong_with_several_tasks_is_told_at_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_all(root)
    (root / "lists" / "val200.txt").write_text("images/a.png\n")
    (root / "clouds" / "shape_names.txt").write_text("cone\n")
    (root / "classes" / "test").rename(root / "classes" / "tst")
    line = complaint(capsys, "--suite", "folder", *QUICK)
    assert [
        part
        for part in ("val200.txt, line 1", "labels go from 0 to 1, not from 0 to 0", "no folder test")
        if part not in line
    ] == []


def test_a_run_from_end_to_end_and_its_repetition(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_all(root)
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "not-this-one"))
    argv = [
        "--suite",
        "folder",
        "--data-root",
        str(root),
        *QUICK,
        "--workers",
        "2",
        "--results",
        str(tmp_path / "results"),
    ]
    assert run.main(argv) == 0  # in processes that must find the data as well
    records = store.records(tmp_path / "results")
    assert {(r["spec"]["suite"], r["spec"]["task"]) for r in records} == {
        ("mine", t) for t in ("lists", "classes", "clouds")
    }
    assert {r["spec"]["task"]: r["accuracy"]["test_samples"] for r in records} == {
        "lists": 9,
        "classes": 10,
        "clouds": 8,
    }
    capsys.readouterr()
    assert run.main([*argv[:1], "mine", *argv[2:]]) == 0
    assert "3 runs: 0 trained, 3 already finished, 0 failed" in capsys.readouterr().out
    assert "### mine: image, vit_nano" in (tmp_path / "results" / "leaderboard.md").read_text()


def test_a_damaged_image_is_told_before_any_run(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lists(root / "good")
    write_lists(root / "lists")
    path = root / "lists" / "images/test/000003.png"
    path.write_text("no image")
    results = tmp_path / "results"
    assert f"cannot decode {path}" in complaint(capsys, "--suite", "mine", *QUICK, "--results", str(results))
    assert store.records(results) == []
    assert data.main(["verify", "mine"]) == 2
    assert f"1 of 24 images do not decode: cannot decode {path}" in capsys.readouterr().err


def test_verify_looks_into_clouds(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clouds(root / "clouds", names="cone\nball\n")
    assert data.main(["verify", "folder"]) == 0
    assert "clouds: 2 classes, 18 + 2 + 8 samples" in capsys.readouterr().out
    with h5py.File(root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["label"][:] = 1
    assert data.main(["verify", "folder"]) == 2
    assert "clouds/test: no sample of class 0" in capsys.readouterr().err
    with h5py.File(root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["data"][3, 0, 0] = np.nan
    assert data.main(["verify", "folder"]) == 2
    assert "cloud 3 has values that are not finite" in capsys.readouterr().err


def test_listings_show_the_suite_or_why_there_is_none(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(suites.SUITES, "offline")  # whose data take seconds to draw
    for show in (listing.show_list, data.show_list):
        assert show() == 0
        assert f"suite folder: no task in {root}" in capsys.readouterr().out
    write_lists(root / "lists")
    for show in (listing.show_list, data.show_list):
        assert show() == 0
        out = capsys.readouterr().out
        assert "suite mine" in out and "suite folder" not in out


@pytest.mark.skipif("PEFT_BENCH_REALDATA" not in os.environ, reason="PEFT_BENCH_REALDATA is not set")
def test_real_sets_have_their_counts(capsys: pytest.CaptureFixture[str]) -> None:
    place = Path(os.environ["PEFT_BENCH_REALDATA"])
    assert data.main(["verify", "folder", "--data-root", str(place / "vtab-layout")]) == 0
    out = capsys.readouterr().out.splitlines()
    known = {"cifar10: 10 classes, 800 + 200 + 2000 samples", "pets37: 37 classes, 185 + 37 + 148 samples"}
    assert known <= set(out)
    assert data.main(["verify", "folder", "--data-root", str(place)]) == 0
    assert "10 classes, 3508 + 390 + 889 samples" in capsys.readouterr().out
