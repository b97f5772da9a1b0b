"""Damaged and hostile files of ShapeNetPart: each ends before any training with one line, and nothing else happens."""

import json
import os
from dataclasses import replace

import pytest

from benchmarks import run
from benchmarks.suites import shapenetpart
from benchmarks.suites.shapenetpart import FOLDER, NAME
from tests.support.layout_files import write_parts

ASKED = ["--suite", NAME, "--backbone", "point_nano", "--methods", "linear", "--results", "../results"]
LIST, SHAPE = "train_test_split/shuffled_train_file_list.json", "02773838/train0.txt"
KNOWN = "shape_data/02773838/"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(shapenetpart, "POINTS", 64)
    task = replace(shapenetpart.TASKS[NAME], train=16, val=16, test=16)
    monkeypatch.setitem(shapenetpart.TASKS, NAME, task)


def text(name, change):
    """Another text of a file."""
    return lambda folder: (folder / name).write_text(change((folder / name).read_text()))


def listed(change):
    """Another list of training shapes."""
    return text(LIST, lambda old: json.dumps(change(json.loads(old))))


def in_place(name, make):
    """Something else in place of a file; ``make(path)`` puts it there."""

    def damage(folder):
        (folder / name).unlink()
        make(folder / name)

    return damage


def linked(folder):
    (folder / "02773838/test0.txt").unlink()
    (folder / "02773838/test0.txt").symlink_to("train0.txt")


def not_utf8(folder):
    (folder / LIST).write_bytes(b'["\xff"]')


LISTING = "synsetoffset2category.txt"
ROW = "0.1 0.2 0.3 0 0 1 4\n"
AGAIN = "get the files again"
DAMAGES = [
    (
        text(LISTING, lambda old: old.replace("Bag", "Sack")),
        f"DIR/{FOLDER}/{LISTING} does not list the 16 categories of ShapeNetPart in their order; {AGAIN}",
    ),
    (
        text(LISTING, lambda old: "".join(sorted(old.splitlines(True), reverse=True))),
        f"DIR/{FOLDER}/{LISTING} does not list the 16 categories ...",
    ),
    (lambda folder: (folder / LIST).unlink(), f"cannot read DIR/{FOLDER}/{LIST}: No such file or directory"),
    (text(LIST, lambda old: old[:-1]), f"cannot read DIR/{FOLDER}/{LIST} as JSON: ...; {AGAIN}"),
    (text(LIST, lambda old: 50_000 * "["), f"cannot read DIR/{FOLDER}/{LIST} as JSON: ...; {AGAIN}"),
    (text(LIST, lambda old: "{}"), f"DIR/{FOLDER}/{LIST}: holds no list of shapes; {AGAIN}"),
    (not_utf8, f"DIR/{FOLDER}/{LIST}: no text in UTF-8: ..."),
    (listed(lambda old: old[1:]), f"DIR/{FOLDER}/{LIST}: lists 15 shapes, but {NAME} has 16; {AGAIN}"),
    (listed(lambda old: [*old[1:], old[1]]), f"DIR/{FOLDER}/{LIST}: lists a shape twice: 02773838/train0.txt"),
    (listed(lambda old: [*old[1:], 7]), f"DIR/{FOLDER}/{LIST}: '7' is not shape_data/FOLDER/SHAPE with the folder ..."),
    (
        listed(lambda old: [*old[1:], f"{KNOWN}.."]),
        f"DIR/{FOLDER}/{LIST}: '{KNOWN}..' is not shape_data/FOLDER/SHAPE ...",
    ),
    (
        listed(lambda old: [*old[1:], "shape_data/00000000/a"]),
        f"DIR/{FOLDER}/{LIST}: 'shape_data/00000000/a' is not shape_data/FOLDER/SHAPE with the folder of a category",
    ),
    (listed(lambda old: [*old[1:], f"{KNOWN}gone"]), f"cannot read DIR/{FOLDER}/02773838/gone.txt: No such file ..."),
    (in_place(SHAPE, os.mkfifo), f"cannot read DIR/{FOLDER}/{SHAPE}: it is a pipe, not a file"),
    (in_place(SHAPE, os.mkdir), f"cannot read DIR/{FOLDER}/{SHAPE}: it is a folder, not a file"),
    (
        in_place(SHAPE, lambda path: path.symlink_to("/etc/passwd")),
        f"DIR/{FOLDER}/{SHAPE} leads to /etc/passwd, outside the data root ...",
    ),
    (
        linked,
        f"DIR/{FOLDER}: {SHAPE} (label 1 in train) and 02773838/test0.txt (label 1 in test) are the same file; ...",
    ),
    (text(SHAPE, lambda old: ""), f"DIR/{FOLDER}/{SHAPE}: holds no point; {AGAIN}"),
    (text(SHAPE, lambda old: "not numbers\n"), f"cannot read shape DIR/{FOLDER}/{SHAPE}: ..."),
    (text(SHAPE, lambda old: ROW + "1 2 3\n"), f"cannot read shape DIR/{FOLDER}/{SHAPE}: ..."),
    (
        text(SHAPE, lambda old: "0 0 0 4\n" * 9),
        f"DIR/{FOLDER}/{SHAPE}: has 4 numbers per point, not x y z nx ny nz part",
    ),
    (
        text(SHAPE, lambda old: ROW.replace("0.1", "nan")),
        f"DIR/{FOLDER}/{SHAPE}: has values that are not finite; {AGAIN}",
    ),
    (text(SHAPE, lambda old: old + ROW.replace(" 4", " 6")), f"DIR/{FOLDER}/{SHAPE}: has part 6, but Bag has 4 to 5"),
    (
        text(SHAPE, lambda old: old + ROW.replace(" 4", " 4.5")),
        f"DIR/{FOLDER}/{SHAPE}: has part 4.5, but Bag has 4 to 5",
    ),
    (text(SHAPE, lambda old: ROW * 70), f"DIR/{FOLDER}/{SHAPE}: cloud 0 has all its points in one place"),
    (
        text(SHAPE, lambda old: ROW.replace("0.1", "1e200") + ROW),
        f"DIR/{FOLDER}/{SHAPE}: cloud 0 has the value 1.0e+200; ...",
    ),
]


@pytest.mark.parametrize(("damage", "line"), DAMAGES)
def test_a_damaged_file_of_parts_is_refused(damage, line, tmp_path, refused):
    write_parts(tmp_path / "mine", (1, 1, 1))
    damage(tmp_path / "mine" / FOLDER)
    refused(run.main, ASKED, line)
