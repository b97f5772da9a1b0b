"""What ``data verify`` tells of files that a run could read, and what nobody ever reads."""

import shutil

import h5py
import numpy as np
import pytest
from PIL import Image

from benchmarks import data, suites
from benchmarks.files import contents, layouts, verify
from benchmarks.files.root import DATA_ROOT
from tests.support.layout_files import write_image, write_image_folder, write_lists


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A task without faults in a data root named mine."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "mine"))
    write_image_folder(tmp_path / "mine/x", train=3, test=2)
    assert data.main(["verify", "folder"]) == 0
    return tmp_path / "mine/x"


def faults(task):
    return verify.images(layouts.find(task))


def test_a_copy_in_two_splits_names_both_files(task, complaint):
    shutil.copy(task / "train/cat/1.png", task / "test/cat/z.png")
    line = "x: 1 images are in two splits: train/cat/1.png and test/cat/z.png"
    assert faults(task) == [line]
    assert line in complaint(data.main, "verify", "folder")


def test_the_same_pixels_in_another_format_are_the_same_image(task):
    Image.open(task / "train/cat/1.png").save(task / "test/dog/z.bmp")
    assert faults(task) == [
        "x: 1 images are in two splits: train/cat/1.png and test/dog/z.bmp",
        "x: 1 images are in two classes: train/cat/1.png (cat) and test/dog/z.bmp (dog)",
    ]


def test_a_copy_in_another_class_is_told_and_one_in_its_own_is_not(task):
    shutil.copy(task / "test/cat/1.png", task / "test/dog/z.png")
    shutil.copy(task / "test/cat/0.png", task / "test/cat/again.png")
    assert faults(task) == ["x: 1 images are in two classes: test/cat/1.png (cat) and test/dog/z.png (dog)"]


def test_many_copies_share_a_line(task):
    for number in range(5):
        write_image(task / f"train/dog/{number}0.png", 1, seed=50 + number)
        shutil.copy(task / f"train/dog/{number}0.png", task / f"test/dog/{number}0.png")
    (line,) = faults(task)
    assert line.startswith("x: 5 images are in two splits: ") and line.endswith(" and 2 more")


def test_an_animation_is_told(task):
    frames = [Image.fromarray(np.full((9, 9, 3), value, np.uint8)) for value in (7, 8)]
    frames[0].save(task / "test/cat/z.gif", save_all=True, append_images=frames[1:])
    assert faults(task) == ["x: 1 images have more frames than the first, which is read: test/cat/z.gif"]


def test_labels_that_only_test_has_are_told(tmp_path):
    write_lists(tmp_path / "x", classes=2)
    path = tmp_path / "x/test.txt"
    path.write_text(path.read_text().replace("000003.png 1", "000003.png 2"))
    assert faults(tmp_path / "x") == ["x: samples of class 2 are only in test"]


@pytest.mark.parametrize(("shift", "told"), [(1, "0"), (3, "0, 1, 2"), (5, "0, 1, 2 and 2 more")])
def test_labels_that_do_not_start_at_0_are_told_and_make_no_class(shift, told, tmp_path):
    write_lists(tmp_path / "x", classes=2)
    before = layouts.find(tmp_path / "x").splits
    for path in (tmp_path / "x").glob("*.txt"):
        lines = [line.rpartition(" ") for line in path.read_text().splitlines()]
        path.write_text("".join(f"{name} {int(label) + shift}\n" for name, _, label in lines))
    layout = layouts.find(tmp_path / "x")
    assert (layout.labels, layout.splits) == ((str(shift), str(shift + 1)), before)
    named = "the other 2 are its classes, by their numbers as names"
    assert layout.note == f"{tmp_path / 'x'}: no sample has label {told}; {named}"
    assert faults(tmp_path / "x") == [layout.note]


@pytest.mark.parametrize("name", ["@eaDir", ".AppleDouble", "__MACOSX", ".ipynb_checkpoints", "#recycle", "lost+found"])
def test_hidden_folders_are_never_read(name, task):
    before = layouts.find(task)
    for place in (f"train/cat/{name}", f"train/cat/{name}/deep", f"train/{name}", name, f"../{name}/train/a"):
        write_image(task / place / "0.png", 3, seed=99)
    write_image(task / "train/cat/._0.png", 3, seed=99)
    assert layouts.find(task) == before
    assert list(suites.get("folder").tasks) == ["x"]


def write_clouds(folder, label, shared):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    parts = {"train": rng.normal(size=(8, 20, 3)), "test": rng.normal(size=(4, 20, 3))}
    parts["test"][:shared] = parts["train"][:shared]
    for split, x in parts.items():
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            file["data"], file["label"] = x, label(np.arange(len(x)))


@pytest.mark.parametrize(
    ("label", "shared", "lines"),
    [
        (lambda i: i % 2, 0, []),
        (lambda i: i % 2, 1, ["x: 1 clouds are in two splits: cloud 0 of train and cloud 0 of test"]),
        (
            lambda i: i % 2 * 3,
            0,
            ["{}: no sample has label 1, 2; the other 2 are its classes, by their numbers as names"],
        ),
    ],
)
def test_clouds_are_compared_and_gaps_of_labels_told(label, shared, lines, tmp_path, monkeypatch):
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "mine"))
    write_clouds(tmp_path / "mine/x", label, shared)
    suite = suites.get("folder")
    assert suite.tasks["x"].classes == 2
    assert suite.load("x", "test", frame=None)[1].tolist() == [0, 1, 0, 1]
    assert suite.faults("x") == [line.format(tmp_path / "mine/x") for line in lines]


def test_images_that_exif_turns_and_classes_that_a_split_lacks_are_told(task, capsys):
    upright = Image.new("RGB", (30, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(task / "train/dog/turned.jpg", exif=exif)
    shutil.rmtree(task / "test/cat")
    capsys.readouterr()
    assert data.main(["verify", "folder"]) == 0
    out = capsys.readouterr().out.splitlines()
    turned = "1 of 9 images are turned by their EXIF orientation, as they are read here: train/dog/turned.jpg"
    assert f"  {turned}" in out
    assert "  test has no sample of class cat" in out
