"""``data split`` copies a folder of classes into two splits, loses no image and changes nothing."""

import shutil

import pytest
from PIL import Image

from benchmarks import data
from benchmarks.files import layouts
from benchmarks.files import split as splitting

COUNTS = {"cat": 10, "dog": 3, "eel": 2}


@pytest.fixture
def photos(tmp_path):
    """A folder of three classes, one of them with an image a folder deeper, and a file that is no image."""
    for name, count in COUNTS.items():
        for number in range(count):
            path = tmp_path / "photos" / name / ("old" if number == 1 else "") / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4), (number, 0, 0)).save(path)
    (tmp_path / "photos" / "cat" / "notes.txt").write_text("no image")
    return tmp_path / "photos"


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


def test_every_image_is_copied_once_and_the_folder_stays_as_it_was(photos, capsys):
    before = files(photos)
    assert data.main(["split", str(photos)]) == 0
    out = photos.with_name("photos-split")
    copied = {path.partition("/")[2]: content for path, content in files(out).items()}
    assert files(photos) == before
    assert copied == {path: content for path, content in before.items() if path.endswith(".jpg")}
    assert len(files(out)) == len(copied) == 15
    assert {path.name for path in photos.parent.iterdir()} == {"photos", "photos-split"}
    assert capsys.readouterr().out.startswith(f"copied to {out}: 11 images to train, 4 images to test\n")


def test_every_class_gives_its_share_and_no_class_is_missing(photos):
    splitting.split(photos, photos.with_name("s"), test=0.2, seed=0)
    layout = layouts.find(photos.with_name("s"))
    counts = {name: len(list((layout.folder / "test" / name).rglob("*.jpg"))) for name in COUNTS}
    assert (layout.labels, counts) == (tuple(COUNTS), {"cat": 2, "dog": 1, "eel": 1})


def test_the_seed_alone_decides_which_images_test(photos):
    tests = []
    for number, seed in enumerate((0, 0, 1)):
        splitting.split(photos, photos.with_name(f"s{number}"), test=0.3, seed=seed)
        tests.append({path for path in files(photos.with_name(f"s{number}")) if path.startswith("test")})
    assert tests[0] == tests[1] != tests[2]


def test_a_second_split_is_refused_and_changes_nothing(photos, complaint, capsys):
    assert data.main(["split", str(photos)]) == 0
    out = photos.with_name("photos-split")
    before = files(out)
    capsys.readouterr()
    told = complaint(data.main, "split", str(photos), "--seed", "1")
    assert told == f"{out} exists already; give another folder with -o"
    assert files(out) == before
    assert "has a folder train and is split already" in complaint(data.main, "split", str(out))


def test_a_class_of_one_image_is_one_line(photos, complaint):
    (photos / "eel" / "0.jpg").unlink()
    assert "class eel has less than two images" in complaint(data.main, "split", str(photos))
    assert not photos.with_name("photos-split").exists()


def test_photos_of_a_format_that_is_not_read_are_not_left_out_in_silence(photos, complaint):
    for name in ("a.HEIC", "b.heic"):
        (photos / "cat" / name).write_bytes(b"an iPhone's")
    line = complaint(data.main, "split", str(photos))
    assert line.startswith(f"{photos / 'cat' / 'a.HEIC'} and 1 more are of a format that is not read; convert")


def test_a_split_that_fails_leaves_no_folder(photos, complaint, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    assert "no space left on device" in complaint(data.main, "split", str(photos)).lower()
    assert {path.name for path in photos.parent.iterdir()} == {"photos"}
