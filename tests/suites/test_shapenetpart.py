"""ShapeNetPart: its table is the published one, shapes are read as its protocol says, and runs work from end to end."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import data, export, features, run, suites, tune
from benchmarks.figures import samples
from benchmarks.files import contents
from benchmarks.files.root import DATA_ROOT, Missing
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.suites import shapenetpart
from benchmarks.suites.shapenetpart import FOLDER, KIND, NAME
from benchmarks.sweeps import estimate, sweep
from benchmarks.training import task_files
from tests.support.layout_files import write_parts

SUITE = suites.get("shapenetpart")
FEW = 64  # points of a test
RUN = ["--suite", NAME, "--backbone", "point_nano", "--recipe", "epochs=1", "warmup_epochs=0"]

# the parts of every category as Point-MAE's code lists them (segmentation/main.py at 4561aac)
PARTS = {
    **{"Earphone": [16, 17, 18], "Motorbike": [30, 31, 32, 33, 34, 35], "Rocket": [41, 42, 43]},
    **{"Car": [8, 9, 10, 11], "Laptop": [28, 29], "Cap": [6, 7], "Skateboard": [44, 45, 46], "Mug": [36, 37]},
    **{"Guitar": [19, 20, 21], "Bag": [4, 5], "Lamp": [24, 25, 26, 27], "Table": [47, 48, 49]},
    **{"Airplane": [0, 1, 2, 3], "Pistol": [38, 39, 40], "Chair": [12, 13, 14, 15], "Knife": [22, 23]},
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A data root with two training shapes per category, one for validation and one to test."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "data"))
    monkeypatch.setattr(shapenetpart, "POINTS", FEW)
    monkeypatch.setitem(SUITE.tasks, NAME, replace(SUITE.tasks[NAME], train=32, val=16, test=16))
    write_parts(tmp_path / "data")
    return tmp_path / "data" / FOLDER


def test_the_table_is_the_published_one():
    task = SUITE.tasks[NAME]
    assert (task.train, task.val, task.test, task.classes, len(KIND.parts)) == (12137, 1870, 2874, 50, 16)
    numbers = {
        name: list(range(first, first + parts))
        for name, first, (_, parts) in zip(
            shapenetpart.CATEGORIES, KIND.first, shapenetpart.CATEGORIES.values(), strict=True
        )
    }
    assert numbers == PARTS
    assert [label for label in task.labels if label.startswith("Mug")] == ["Mug 0", "Mug 1"]
    assert shapenetpart.POINTS == task.points == 2048


def test_the_recipe_is_that_of_point_mae():
    (spec,) = sweep.specs(sweep.Sweep(methods=("lora",), suite=NAME), "float32", absent=True)
    asked = {"epochs": 300, "batch_size": 16, "warmup_epochs": 10, "clip_grad": 10.0, "augment": "scale_shift"}
    assert {name: getattr(spec.recipe, name) for name in asked} == asked
    assert (spec.kind, spec.classes, spec.backbone.name) == ("segmentation", 50, "point_mae")


def test_shapes_are_those_of_the_files(small):
    x, y = SUITE.load(NAME, "test", frame=None)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((16, FEW, 4), torch.float32, (16, FEW), torch.int64)
    for category, (place, _) in enumerate(shapenetpart.CATEGORIES.values()):
        raw = np.loadtxt(small / place / "test0.txt")
        centred = raw[:, :3] - raw[:, :3].mean(0)
        unit = centred / np.sqrt((centred**2).sum(1)).max()
        assert (x[category, :, 3] == category).all()
        found = x[category, :, :3].numpy()
        distance = np.abs(found[:, None] - unit[None]).max(-1)
        assert distance.min(1).max() < 1e-6
        assert len(set(distance.argmin(1))) == FEW  # a draw without repetition
        assert (raw[distance.argmin(1), 6] == y[category].numpy()).all()


def test_a_shape_of_few_points_has_all_of_them(small, monkeypatch):
    monkeypatch.setattr(shapenetpart, "POINTS", 200)  # of 90
    x, y = shapenetpart.shape(small / "02691156/test0.txt", 0)
    counts = np.unique(x, axis=0, return_counts=True)[1]
    assert x.shape == (200, 4) and y.shape == (200,) and len(counts) == 90 and set(counts) == {2, 3}


def test_shapes_are_read_once(small, monkeypatch):
    first, _ = SUITE.load(NAME, "train", frame=None)
    monkeypatch.setattr(shapenetpart, "shape", lambda *asked: pytest.fail("a shape was read again"))
    again, _ = SUITE.load(NAME, "train", frame=None)
    assert torch.equal(first, again)


@pytest.mark.usefixtures("small")
def test_verify_passes_the_miniature_and_tells_its_counts(capsys):
    assert data.main(["verify", NAME]) == 0
    out = capsys.readouterr().out
    assert "shapenetpart: 50 classes, 32 + 16 + 16 samples" in out and "two splits" not in out


def test_verify_tells_of_leaks_but_passes(small, capsys):
    copy = (small / "02773838/train1.txt").read_bytes()
    (small / "02773838/test0.txt").write_bytes(copy)
    assert data.main(["verify", NAME]) == 0
    told = "1 files are in two splits: 02773838/train1.txt and 02773838/test0.txt"
    assert told in capsys.readouterr().out


def test_verify_names_every_broken_shape(small, complaint):
    (small / "02773838/test0.txt").write_text("1 2 3\n")
    (small / "02954340/val0.txt").unlink()
    (small / "02958343/train0.txt").write_text("0 0 0 0 0 0 8\n" * 5)
    line = complaint(data.main, "verify", NAME)
    assert "02954340/val0.txt: No such file or directory" in line
    (small / "02954340/val0.txt").write_text("0 0 0 0 0 0 47\n")
    line = complaint(data.main, "verify", NAME)
    assert "3 of 64 shapes cannot be used" in line
    for part in (
        "02773838/test0.txt: has 3 numbers per point",
        "02954340/val0.txt: has part 47, but Cap has 6 to 7",
        "02958343/train0.txt: cloud 0 has all its points in one place",
    ):
        assert part in line


def test_missing_data_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    with pytest.raises(Missing, match=f"the data of shapenetpart are missing: put the folder {FOLDER}"):
        SUITE.fingerprint(NAME)


@pytest.mark.usefixtures("small")
def test_runs_work_from_end_to_end(tmp_path, capsys, complaint):
    results = tmp_path / "results"
    asked = [*RUN, "train_split=train", "--methods", "linear", "lora", "adapterx", "--results", str(results)]
    assert run.main(asked) == 0
    records = {record["spec"]["method"]: record for record in store.records(results)}
    assert set(records) == {"linear", "lora", "adapterx"}
    for method, record in records.items():
        found = record["accuracy"]
        assert record["spec"]["kind"] == "segmentation"
        assert found["metric"] == "instance mIoU" and set(found["others"]) == {"class mIoU"}
        assert found["test_samples"] == 16 and 0 < found["test"] < 1 and 0 < found["others"]["class mIoU"] < 1
        assert record["params"]["head"] == head_of_nano()
        spec = Spec.from_json(record["spec"])
        assert spec.key == record["key"]
        trained = task_files.load(store.adapter_path(results, spec))
        x, y = SUITE.load(NAME, "test", frame=None)
        with torch.inference_mode():
            judged = KIND.judge(trained(x), y)
        assert KIND.scores(judged, y)["instance mIoU"] == pytest.approx(found["test"], abs=2e-3), method
        assert torch.equal(KIND.categories(trained.predict(x)), KIND.categories(y))
    capsys.readouterr()
    assert run.main(asked) == 0  # nothing is trained again
    assert "3 runs: 0 trained, 3 already finished" in capsys.readouterr().out
    page = (results / "leaderboard.md").read_text()
    assert "instance mIoU" in page and "class mIoU" in page and "test accuracy" not in page
    assert "instance mIoU" in (results / "leaderboard.html").read_text()
    exported = tmp_path / "lora.safetensors"
    assert export.main(["lora", "--results", str(results), "-o", str(exported)]) == 0
    capsys.readouterr()
    line = complaint(export.main, "lora", "--results", str(results), "--peft", str(tmp_path / "peft"))
    assert line == "PEFT has no model with the head of part segmentation; write a plain checkpoint with -o"
    line = complaint(features.main, "lora", "--results", str(results), "-o", str(tmp_path / "f.png"))
    assert line == "features of 'shapenetpart' cannot be drawn by class: it has a label for every point"


def head_of_nano():
    """The closed form of the head on tokens of 3 x 96 numbers."""
    tokens = 3 * 96
    propagation = (3 + tokens + 1) * 384 + 2 * 384 + (384 + 1) * 1024 + 2 * 1024
    first = (1024 + 2 * tokens + 64 + 1) * 512 + 2 * 512
    return 16 * 64 + 2 * 64 + propagation + first + (512 + 1) * 256 + 2 * 256 + (256 + 1) * 50


@pytest.mark.usefixtures("small")
def test_a_plan_needs_no_data(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "nothing"))
    monkeypatch.setattr(estimate, "POINTS", FEW)
    assert run.main([*RUN, "--methods", "linear", "--results", str(tmp_path), "--dry-run"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "│ linear │ 1 │ 0 │ 0 │" in out  # runs, finished, parameters
    assert "1 runs, about" in out and "missing below" in out


OPTIONS = [
    (["dapt.head_prompts=false"], "dapt: head_prompts=False chooses what a head of pooled features sees; the head of "),
    (["dapt.head_patches=false"], "dapt: head_patches=False chooses what a head of pooled features sees; the head of "),
    (
        ["idpt.head=prompt"],
        "idpt: head=prompt chooses what a head of pooled features sees; the head of 'shapenetpart' ",
    ),
]


@pytest.mark.parametrize(("option", "line"), OPTIONS)
@pytest.mark.usefixtures("small")
def test_an_option_that_would_change_nothing_is_refused(option, line, complaint):
    asked = ["--methods", option[0].partition(".")[0], "--set", *option]
    assert complaint(run.main, *RUN, *asked).startswith(line)


FIELDS = [
    (
        "resample=true",
        "recipe: resample=true draws points without their labels, but task 'shapenetpart' has a label per",
    ),
    (
        "masked=true",
        "recipe: masked=true is for tasks with several test sets, but task 'shapenetpart' has one; leave it",
    ),
    ("augment=mixup", "recipe: unknown augment 'mixup'; known: none, rotate, scale_shift, scale_translate"),
]


@pytest.mark.parametrize(("field", "line"), FIELDS)
@pytest.mark.usefixtures("small")
def test_a_recipe_that_does_not_suit_parts_is_refused(field, line, complaint):
    assert line in complaint(run.main, *RUN, field, "--methods", "linear")


@pytest.mark.usefixtures("small")
def test_tuning_judges_by_the_metric_on_val(tmp_path):
    asked = [*RUN, "--methods", "linear", "--trials", "1", "--results", str(tmp_path)]
    assert tune.main(asked) == 0
    (best,) = (tmp_path / "configs").rglob("*.json")
    found = json.loads(best.read_text())
    assert 0 < found["val_accuracy"] < 1


@pytest.mark.usefixtures("small")
def test_show_draws_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "ROWS", 2)
    path = tmp_path / "sheet.png"
    assert data.main(["show", NAME, "--suite", NAME, "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
