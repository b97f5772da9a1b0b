"""Damaged lists and images of imagenet_dg: each ends before any training with one line, and nothing else happens."""

import os
from dataclasses import replace

import pytest

from benchmarks import run
from benchmarks.suites import imagenet_dg
from tests.support.layout_files import DG_COUNTS, write_imagenet_dg

ASKED = ["--suite", "imagenet_dg", "--backbone", "vit_nano", "--methods", "linear", "--results", "../results"]
SOURCE, A = "few-shot/imagenet", "domain-generalization/imagenet-adversarial"
TRAIN, TESTED = "annotations/train_meta.list.num_shot_2.seed_0", "annotations/val_meta.list"
IMAGE = "imagenet-a/n00000000/a 0.png"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    few = replace(imagenet_dg.TASKS["imagenet"], labels=("0", "1", "2"), train=5, val=1, test=DG_COUNTS["test"])
    monkeypatch.setitem(imagenet_dg.TASKS, "imagenet", few)
    monkeypatch.setattr(imagenet_dg, "TRAIN", imagenet_dg.TRAIN.replace("16", "2"))
    for name, count in DG_COUNTS.items():
        own = imagenet_dg.TESTS[name]._replace(total=count, classes=2 if name in "ar" else 3)
        monkeypatch.setitem(imagenet_dg.TESTS, name, own)


def text(name, change):
    """Another text of a file."""
    return lambda root: (root / name).write_text(change((root / name).read_text()))


def last(name, line):
    """Another last line of a list."""
    return text(name, lambda old: "\n".join([*old.splitlines()[:-1], line]) + "\n")


def gone(*names):
    return lambda root: [(root / name).unlink() for name in names]


def in_place(name, make):
    """Something else in place of a file; ``make(path)`` puts it there."""

    def damage(root):
        (root / name).unlink()
        make(root / name)

    return damage


def without_a_class(root):
    (root / SOURCE / TESTED).unlink()
    (root / SOURCE / "val/n00000002").rename(root / SOURCE / "n00000002")


def without_an_image(root):
    (root / SOURCE / TESTED).unlink()
    next((root / SOURCE / "val/n00000002").iterdir()).unlink()


def in_two_splits(root):
    path = root / A / IMAGE
    path.unlink()
    path.symlink_to(root / SOURCE / "train/n00000000/t0 0.png")


EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
DAMAGES = [
    (
        lambda root: (root / A).rename(root / "other"),
        "the data of imagenet_dg are not below DIR: looked for a folder imagenet-adversarial or imagenet_a in it, ...",
    ),
    (gone(f"{SOURCE}/{TRAIN}"), f"DIR/{SOURCE}: no {TRAIN}; ... has those of seeds 0, 1 and 2"),
    (gone(f"{A}/{TESTED}"), f"DIR/{A}: no {TESTED}; ... has it"),
    (without_a_class, f"DIR/{SOURCE}: no {TESTED}, and no folder val/CLASS for each of the 3 classes; ..."),
    (without_an_image, f"DIR/{SOURCE}/val: has 5 images, not 6"),
    (text(f"{SOURCE}/{TRAIN}", lambda old: ""), f"DIR/{SOURCE}/{TRAIN}: lists no image"),
    (text(f"{SOURCE}/{TRAIN}", lambda old: old * 2), f"DIR/{SOURCE}/{TRAIN}: lists 12 images, but ImageNet has 6"),
    (
        last(f"{SOURCE}/{TRAIN}", "n/a.png 1"),
        f"DIR/{SOURCE}/{TRAIN}: lists class 1 3 times, class 2 1 times, not 2 times",
    ),
    (last(f"{SOURCE}/{TRAIN}", "n/a.png 3"), f"DIR/{SOURCE}/{TRAIN}: label 3, but ImageNet has 0 to 2"),
    (last(f"{A}/{TESTED}", "n/a.png"), f"DIR/{A}/{TESTED}, line 4: 'n/a.png' is not 'PATH LABEL'"),
    (last(f"{A}/{TESTED}", "n/a.png cat"), f"DIR/{A}/{TESTED}, line 4: label 'cat' is not a number from 0"),
    (last(f"{A}/{TESTED}", "../a.png 0"), f"DIR/{A}/{TESTED}, line 4: path '../a.png' leaves the folder; ..."),
    (last(f"{A}/{TESTED}", "n/a.png 1"), f"DIR/{A}/{TESTED}: lists 3 classes, but this set has 2"),
    (in_place(f"{A}/{TESTED}", os.mkfifo), f"cannot read DIR/{A}/{TESTED}: it is a pipe, not a file"),
    (gone(f"{A}/{IMAGE}"), f"cannot read DIR/{A}/{IMAGE}: No such file or directory"),
    (in_place(f"{A}/{IMAGE}", os.mkdir), f"cannot read DIR/{A}/{IMAGE}: it is a folder, not a file"),
    (
        in_place(f"{A}/{IMAGE}", lambda path: path.symlink_to("/etc/passwd")),
        f"DIR/{A}/{IMAGE} leads to /etc/passwd, outside the data root ...",
    ),
    (in_two_splits, "DIR: few-shot/imagenet/train/n00000000/t0 0.png (label 0 in ...) and ... are the same file; ..."),
    (
        lambda root: (root / A / IMAGE).write_bytes(b"\x89PNG\r\n\x1a\n"),
        f"cannot decode DIR/{A}/{IMAGE}: ...",
    ),
    (
        lambda root: (root / A / IMAGE).write_text(EPS),
        f"cannot decode DIR/{A}/{IMAGE}: it is EPS; convert it to ...",
    ),
]


@pytest.mark.parametrize(("damage", "line"), DAMAGES)
def test_a_damaged_file_of_imagenet_dg_is_refused(damage, line, tmp_path, refused):
    write_imagenet_dg(tmp_path / "mine", shots=2)
    damage(tmp_path / "mine")
    refused(run.main, ASKED, line)
