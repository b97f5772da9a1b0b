"""The two layouts of image tasks: what is read and what is refused."""

from collections import Counter

import pytest

from benchmarks.files import layouts
from methods.errors import UserError
from tests.support.layout_files import write_image, write_image_folder, write_lists


def test_lists_are_read_line_by_line(tmp_path):
    write_lists(tmp_path, classes=3, counts=(5, 2, 4))
    layout = layouts.find(tmp_path)
    assert layout is not None
    assert layout.labels == ("0", "1", "2")
    assert {split: len(samples) for split, samples in layout.splits.items()} == {"train": 5, "val": 2, "test": 4}
    assert layout.splits["val"] == (("images/train/000005.png", 0), ("images/train/000006.png", 1))


def test_lists_may_have_spaces_any_ending_and_a_mark_at_the_start(tmp_path):
    path = tmp_path / "train800.txt"
    path.write_bytes(b"\xef\xbb\xbfimages/a b.jpg 1\r\n\n  images/c.jpg\t20  \n")
    assert layouts.read_list(path) == (("images/a b.jpg", 1), ("images/c.jpg", 20))


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("images/a.jpg", "'images/a.jpg' is not 'PATH LABEL'"),
        ("images/a.jpg cat", "label 'cat'"),
        ("images/a.jpg -1", "label '-1'"),
        ("images/a.jpg 1.5", "label '1.5'"),
        ("images/a.jpg 100000", "label 100000 is above 99999"),
        ("images/a.jpg " + 5000 * "9", "is above 99999"),
        ("../a.jpg 0", "path '../a.jpg' leaves the folder"),
        ("images/../../a.jpg 0", "leaves the folder"),
        ("/etc/a.jpg 0", "path '/etc/a.jpg' leaves the folder"),
    ],
)
def test_a_wrong_line_is_named(line, part, tmp_path):
    write_lists(tmp_path)
    path = tmp_path / "val200.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError) as caught:
        layouts.lists(tmp_path)
    assert part in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line 5: ")


def test_a_missing_or_empty_list_or_one_that_is_no_text_is_named(tmp_path):
    write_lists(tmp_path)
    path = tmp_path / "test.txt"
    for content, part in ((b"\n", "lists no image"), (b"\xff\xfe 0", "no text in UTF-8")):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"test\.txt: {part}"):
            layouts.find(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"no test\.txt; the layout of VTAB-1K has"):
        layouts.find(tmp_path)


def test_one_folder_per_class_is_read_in_the_order_of_names(tmp_path):
    write_image_folder(tmp_path, ("dog", "cat"), train=2, test=1)
    write_image(tmp_path / "val/cat/deep/er/x.PNG")
    write_image(tmp_path / "train/cat/.hidden.png")
    (tmp_path / "train/cat/notes.txt").write_text("no image")
    (tmp_path / "train/.cache").mkdir()
    layout = layouts.find(tmp_path)
    assert layout is not None
    assert layout.labels == ("cat", "dog")
    assert layout.splits == {
        "train": (("train/cat/0.png", 0), ("train/cat/1.png", 0), ("train/dog/0.png", 1), ("train/dog/1.png", 1)),
        "val": (("val/cat/deep/er/x.PNG", 0),),
        "test": (("test/cat/0.png", 0), ("test/dog/0.png", 1)),
    }


def test_without_val_a_tenth_of_train_is_held_out_and_nothing_is_lost(tmp_path):
    write_image_folder(tmp_path, train=20, test=1)
    layout = layouts.image_folder(tmp_path)
    train, val = layout.splits["train"], layout.splits["val"]
    assert Counter(label for _, label in val) == {0: 2, 1: 2}
    expected = {(f"train/{name}/{i}.png", label) for label, name in enumerate(("cat", "dog")) for i in range(20)}
    assert set(train + val) == expected and len(train + val) == 40
    assert layouts.image_folder(tmp_path) == layout


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (lambda folder: (folder / "test").rename(folder / "tst"), "no folder test"),
        (lambda folder: (folder / "train/cow").mkdir(), "cow: has no image"),
        (lambda folder: (folder / "test/cat/deep.avif").touch(), r"deep\.avif is of a format that is not read"),
        (lambda folder: write_image(folder / "test/cow/0.png"), "class 'cow' is not among those of train: cat, dog"),
        (lambda folder: [(folder / "train" / c).rename(folder / c) for c in ("cat", "dog")], "has no class folder"),
    ],
)
def test_a_broken_folder_is_named(damage, part, tmp_path):
    write_image_folder(tmp_path)
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(UserError, match=part) as caught:
        layouts.find(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_other_folders_are_no_tasks(tmp_path):
    write_image(tmp_path / "images" / "a.png")
    assert layouts.find(tmp_path) is None
