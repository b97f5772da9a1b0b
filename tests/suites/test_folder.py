"""The suite of a person's own files: which folders are tasks, the names of tasks, and a run from end to end."""

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

import methods
from benchmarks import data, leaderboard, load_images, run, suites
from benchmarks.files import contents
from benchmarks.files.frames import Frame
from benchmarks.files.root import DATA_ROOT
from benchmarks.records import store
from benchmarks.suites import groups
from benchmarks.suites.folder import TAKEN
from benchmarks.sweeps import listing
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.reader import load
from methods.errors import UserError
from tests.support.layout_files import write_image_folder, write_lists

QUICK = ["--methods", "linear", "--recipe", "epochs=2", "warmup_epochs=0", "batch_size=8"]


@pytest.fixture(autouse=True)
def data_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder named mine, which is the data root."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    return tmp_path / "mine"


def write_clouds(folder: Path, classes: int = 2, counts: tuple[int, int] = (20, 8), names: str | None = None):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in zip(("train", "test"), counts, strict=True):
        labels = np.arange(count) % classes
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            file["data"] = (rng.standard_normal((count, 300, 3)) * (1 + labels[:, None, None])).astype(np.float32)
            file["label"] = labels.astype(np.uint8)[:, None]
    if names:
        (folder / "shape_names.txt").write_text(names)


def write_all(data_root: Path):
    write_lists(data_root / "lists", classes=3, counts=(12, 6, 9))
    write_image_folder(data_root / "classes", train=10, test=5)
    write_clouds(data_root / "clouds", names="cone\nball\n")
    (data_root / "notes").mkdir()
    (data_root / ".hidden" / "train").mkdir(parents=True)


def test_every_folder_in_a_known_layout_is_a_task(data_root):
    write_all(data_root)
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


def test_samples_are_those_of_the_files_each_in_one_split(data_root):
    write_all(data_root)
    suite = suites.get("folder")
    for name, task in suite.tasks.items():
        for split in ("train", "val", "test"):
            x, y = suite.load(name, split, frame=Frame(6))
            assert len(x) == len(y) == getattr(task, split)
            assert x.shape[1:] == ((300, 3) if task.modality == "points" else (3, 6, 6))
            files = [data_root / file for file in suite.files(name, split)]
            assert torch.equal(load_images(files, Frame(6)), x) if task.modality == "image" else files == []
            assert (x.dtype, y.dtype) == (torch.float32 if task.modality == "points" else torch.uint8, torch.int64)
    with h5py.File(data_root / "clouds" / "ply_data_train0.h5") as file:
        points, labels = file["data"][:].astype(np.float64), torch.from_numpy(file["label"][:, 0].astype(np.int64))
    points -= points.mean(axis=1, keepdims=True)  # every cloud is put into the unit sphere
    points = torch.from_numpy(points / np.linalg.norm(points, axis=2).max(axis=1)[:, None, None]).float()
    x, y = (
        torch.cat(parts) for parts in zip(*(suite.load("clouds", s, frame=None) for s in ("train", "val")), strict=True)
    )
    order, expected = x[:, 0, 0].argsort(), points[:, 0, 0].argsort()
    assert torch.allclose(x[order], points[expected], atol=1e-6) and torch.equal(y[order], labels[expected])
    assert suite.load("clouds", "val", frame=None)[1].tolist().count(0) == 1


def test_fingerprints_tell_tasks_and_changes_apart(data_root):
    write_all(data_root)
    suite = suites.get("folder")
    before = {name: suite.fingerprint(name) for name in suite.tasks}
    assert len(set(before.values())) == 3
    with h5py.File(data_root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["label"][0] = 1
    changed = suites.get("folder")
    assert {name for name in before if changed.fingerprint(name) != before[name]} == {"clouds"}


def test_the_root_itself_may_be_the_only_task(data_root):
    write_lists(data_root, classes=2)
    write_lists(data_root / "other")
    suite = suites.get("folder")
    assert (suite.name, list(suite.tasks)) == ("mine", ["mine"])
    assert suite.load("mine", "test", frame=Frame(4))[0].shape == (12, 3, 4, 4)


def test_the_suite_goes_by_the_name_of_the_root(data_root):
    write_lists(data_root / "lists")
    assert suites.get("mine").fingerprint("lists") == suites.get("folder").fingerprint("lists")
    with pytest.raises(UserError, match=r"unknown suite 'min'; known: .*offline.*--data-root DIR"):
        suites.get("min")


def test_a_linked_folder_keeps_its_own_name(data_root, tmp_path):
    write_lists(tmp_path / "far" / "blob")
    (data_root / "lists").symlink_to(tmp_path / "far" / "blob")
    assert list(suites.get("folder").tasks) == ["lists"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        *((name, ["the folder {root} has the name of another suite"]) for name in ("offline", "vtab1k", "folder")),
        ("deep", ["no task in {root}", "{root}/one/lists has one: give --data-root {root}/one"]),
        ("empty", ["no task in {root}", "train800.txt", "ply_data_train*.h5", "--data-root"]),
        ("nowhere", ["there is no folder {root}; give the folder of your data with --data-root DIR"]),
    ],
)
def test_a_root_that_is_no_suite_is_refused(name, parts, data_root, complaint):
    root = data_root.with_name(name)
    if name == "empty":
        root.mkdir()
    elif name == "deep":
        write_lists(root / "one" / "lists")
    elif name != "nowhere":
        write_lists(root / "lists")
    line = complaint(run.main, "--suite", "folder", "--data-root", str(root), *QUICK)
    assert [part for part in parts if part.format(root=root) not in line] == []


def test_faults_of_several_tasks_share_one_line(data_root, complaint):
    write_all(data_root)
    (data_root / "lists" / "val200.txt").write_text("images/a.png\n")
    (data_root / "clouds" / "shape_names.txt").write_text("cone\n")
    (data_root / "classes" / "test").rename(data_root / "classes" / "tst")
    line = complaint(run.main, "--suite", "folder", *QUICK)
    for part in ("val200.txt, line 1", "labels go from 0 to 1, not from 0 to 0", "no folder test"):
        assert part in line


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])  # 2 must find the data as well
def test_a_run_from_end_to_end_and_its_repetition(workers, data_root, tmp_path, capsys, monkeypatch):
    write_all(data_root)
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "not-this-one"))
    where = ["--data-root", str(data_root), "--workers", workers, "--results", str(tmp_path / "results")]
    argv = ["--suite", "folder", *where, *QUICK]
    assert run.main(argv) == 0
    samples = {
        (r["spec"]["suite"], r["spec"]["task"]): r["accuracy"]["test_samples"]
        for r in store.records(tmp_path / "results")
    }
    assert samples == {("mine", "lists"): 9, ("mine", "classes"): 10, ("mine", "clouds"): 8}
    capsys.readouterr()
    assert run.main([*argv[:1], "mine", *argv[2:]]) == 0
    assert "3 runs: 0 trained, 3 already finished, 0 failed" in capsys.readouterr().out
    assert "### mine: image, vit_nano" in (tmp_path / "results" / "leaderboard.md").read_text()


@pytest.fixture
def damaged(data_root: Path) -> Path:
    """The one image that does not decode, in one of two tasks."""
    write_lists(data_root / "good")
    write_lists(data_root / "lists")
    path = data_root / "lists" / "images/test/000003.png"
    path.write_text("no image")
    return path


def test_a_damaged_image_is_found_before_any_run(damaged, tmp_path, complaint):
    results = tmp_path / "results"
    assert f"cannot decode {damaged}" in complaint(run.main, "--suite", "mine", *QUICK, "--results", str(results))
    assert store.records(results) == []


def test_verify_counts_the_images_that_do_not_decode(damaged, capsys):
    assert data.main(["verify", "mine"]) == 2
    assert f"1 of 24 images do not decode: cannot decode {damaged}" in capsys.readouterr().err


@pytest.mark.parametrize(("scale", "offset", "kind"), [(1, 10, "f4"), (1000, 0, "f4"), (1, 4.5e6, "f8")])
def test_clouds_in_other_units_and_places_are_the_same_to_a_model(scale, offset, kind, data_root):
    for name in ("plain", "moved"):
        write_clouds(data_root / name)
    for path in (data_root / "moved").iterdir():
        with h5py.File(path, "r+") as file:
            moved = (file["data"][:].astype("f8") * scale + offset).astype(kind)
            del file["data"]
            file["data"] = moved
    suite = suites.get("folder")
    assert suite.unit_sphere and suites.get("modelnet40").unit_sphere and not suites.get("scanobjectnn").unit_sphere
    for split in ("train", "val", "test"):
        plain, moved = (suite.load(name, split, frame=None)[0] for name in ("plain", "moved"))
        assert torch.allclose(plain, moved, atol=1e-5)


def test_verify_tells_of_coordinates_and_of_too_few_points(data_root, capsys):
    write_clouds(data_root / "clouds")
    for split in ("train", "test"):
        with h5py.File(data_root / "clouds" / f"ply_data_{split}0.h5", "r+") as file:
            points = np.random.default_rng(len(split)).uniform(1, 2, file["data"].shape)
            points[:, 0], points[:, 1] = (-5, 0, 7.5), (3, 9, 8)
            points[0, 2:77] = 0  # a quarter of the first cloud
            file["data"][:] = points
    assert data.main(["verify", "folder"]) == 0
    padded = "1 clouds have several points at the origin (0, 0, 0), as padding has; of cloud 0 they are 25%"
    assert capsys.readouterr().out.splitlines()[1:6] == [
        line
        for split in ("train", "test")
        for line in (f"  {split}: 300 points, x from -5 to 3, y from 0 to 9, z from 0 to 8", f"  {split}: {padded}")
    ] + ["  a model sees every cloud centred and scaled to the unit sphere"]
    for split in ("train", "test"):
        with h5py.File(data_root / "clouds" / f"ply_data_{split}0.h5", "r+") as file:
            few = file["data"][:, :12]
            del file["data"]
            file["data"] = few
    assert data.main(["verify", "folder"]) == 2
    assert "/clouds have 12 points, but point_nano needs 16 or more" in capsys.readouterr().err


def test_verify_finds_faults_of_clouds(data_root, capsys):
    write_clouds(data_root / "clouds", names="cone\nball\n")
    assert data.main(["verify", "folder"]) == 0
    assert "clouds: 2 classes, 18 + 2 + 8 samples" in capsys.readouterr().out
    with h5py.File(data_root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["label"][:] = 1
    assert data.main(["verify", "folder"]) == 2
    assert "clouds/test: no sample of class 0" in capsys.readouterr().err
    with h5py.File(data_root / "clouds" / "ply_data_test0.h5", "r+") as file:
        file["data"][3, 0, 0] = np.nan
    assert data.main(["verify", "folder"]) == 2
    assert "cloud 3 has values that are not finite" in capsys.readouterr().err


def test_labels_with_gaps_are_told_once_before_a_run(data_root, capsys):
    write_lists(data_root / "gap", classes=2, highest=7)
    write_lists(data_root / "whole")
    suites.decode([("mine", name, 0, Frame(size)) for name in ("gap", "whole") for size in (4, 5)], tests=False)
    told = "no sample has label 2, 3, 4 and 2 more; the other 3 are its classes, by their numbers as names"
    assert capsys.readouterr().err == f"warning: {data_root / 'gap'}: {told}\n"
    assert suites.get("mine").tasks["gap"].labels == ("0", "1", "7")


def test_listings_show_the_suite_or_why_there_is_none(data_root, capsys, monkeypatch):
    monkeypatch.delitem(suites.SUITES, "offline")  # whose data take seconds to draw
    monkeypatch.setattr(methods, "METHODS", {"linear": methods.METHODS["linear"]})
    for show in (listing.show_list, data.show_list):
        assert show() == 0
        assert f"suite folder: no task in {data_root}" in capsys.readouterr().out
    write_lists(data_root / "lists")
    for show in (listing.show_list, data.show_list):
        assert show() == 0
        out = capsys.readouterr().out
        assert "suite mine" in out and "suite folder" not in out


@pytest.mark.slow
@pytest.mark.skipif("PEFT_BENCH_REALDATA" not in os.environ, reason="PEFT_BENCH_REALDATA is not set")
def test_real_sets_have_their_counts(capsys):
    place = Path(os.environ["PEFT_BENCH_REALDATA"])
    assert data.main(["verify", "folder", "--data-root", str(place / "vtab-layout")]) == 0
    out = capsys.readouterr().out.splitlines()
    known = {"cifar10: 10 classes, 800 + 200 + 2000 samples", "pets37: 37 classes, 185 + 37 + 148 samples"}
    assert known <= set(out)
    assert data.main(["verify", "folder", "--data-root", str(place)]) == 0
    assert "10 classes, 3508 + 390 + 889 samples" in capsys.readouterr().out


def test_drawn_images_are_written_as_files_that_are_a_task(data_root, capsys):
    assert data.main(["write", "texture", "-o", str(data_root)]) == 0
    written, drawn = suites.get("folder"), suites.get("offline")
    assert written.tasks["texture"].labels == drawn.tasks["texture"].labels
    for split in ("train", "val", "test"):
        ours, theirs = (suite.load("texture", split, frame=Frame(32)) for suite in (written, drawn))
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert data.main(["verify", "folder"]) == 0
    assert data.main(["write", "texture", "-o", str(data_root)]) == 2
    assert f"{data_root / 'texture'} exists already; give another folder" in capsys.readouterr().err


def test_a_hidden_data_root_is_refused_before_anything_is_trained(data_root, tmp_path, complaint):
    hidden = data_root.rename(tmp_path / ".hidden")
    write_all(hidden)
    argv = ["--suite", "folder", "--data-root", str(hidden), *QUICK, "--results", str(tmp_path / "results")]
    assert complaint(run.main, *argv) == f"records of the hidden folder {hidden} would never be found again; rename it"


@pytest.mark.parametrize("name", ["mean", "head", "own mean"])
def test_a_task_with_the_name_of_a_column_of_tables_is_refused(name, data_root, complaint):
    write_lists(data_root / name, classes=2, counts=(6, 2, 4))
    assert f"a column of the tables is named '{name}'; give the folder another name" in complaint(
        data.main, "verify", "folder"
    )


def test_every_column_of_tables_is_known_as_taken(root):
    for folder in ("results", "results/realdata"):
        for made in (table for table in tables(load(root / folder, shared=True)) if not table.costs):
            assert {name for name in made.cells if not name.endswith(" mean")} - {*made.tasks} <= TAKEN


def test_a_file_names_the_groups_of_tasks(data_root, complaint):
    write_all(data_root)
    (data_root / groups.FILE).write_text("photos: [lists, classes]\n")
    assert {task.name: task.group for task in suites.get("folder").tasks.values()} == {
        "classes": "photos",
        "clouds": "own",
        "lists": "photos",
    }
    for text in ("photos: [lists, lists]", "photos: [other]", "photos: lists", "- lists"):
        (data_root / groups.FILE).write_text(text)
        assert "groups.yaml must map names of groups to lists of tasks" in complaint(data.main, "verify", "folder")


def test_tables_have_the_groups_without_the_data(data_root, tmp_path, monkeypatch, complaint, capsys):
    for task in ("maps", "1e3", "dogs"):
        write_lists(data_root / task, classes=2, counts=(6, 2, 4))
    (data_root / groups.FILE).write_text("pets: [dogs, '1e3']\n")
    results, kept = tmp_path / "results", tmp_path / "results" / "runs" / "mine" / groups.FILE
    argv = ["--data-root", str(data_root), "--suite", "mine", *QUICK, "--results", str(results)]
    assert run.main(argv) == 0
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "nowhere"))
    assert leaderboard.main(["--results", str(results)]) == 0
    table = pd.read_csv(results / "leaderboard.csv")
    assert list(table["task"].unique()) == ["maps", "1e3", "dogs", "mean"]  # the groups are own and pets
    assert "the mean of the means of 2 groups (own, pets)" in (results / "leaderboard.md").read_text()
    assert set(pd.read_parquet(results / "runs.parquet")["group"]) == {"own", "pets"}
    kept.write_text("pets\n")
    capsys.readouterr()
    assert f"{kept} must map names of groups to lists of tasks" in complaint(
        leaderboard.main, "--results", str(results)
    )
    (data_root / groups.FILE).unlink()
    assert run.main(argv) == 0  # nothing is trained, and the groups are gone
    assert not kept.exists()
    assert "the mean of the means of 1 group (all)" in (results / "leaderboard.md").read_text()


def test_classes_of_lists_have_the_names_of_the_file_beside_them(data_root, complaint, capsys):
    write_lists(data_root / "lists", classes=3, counts=(12, 6, 9))
    names = data_root / "lists" / "classes.txt"
    names.write_text("cone\nball\nlong rod\n")
    assert suites.get("folder").tasks["lists"].labels == ("cone", "ball", "long rod")
    assert data.main(["verify", "folder"]) == 0
    capsys.readouterr()
    for text, reason in {"cone\nball\n": "has 2 names", "cone\nball\ncone\n": "has the name 'cone' twice"}.items():
        names.write_text(text)
        assert reason in complaint(data.main, "verify", "folder")
