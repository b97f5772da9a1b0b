"""Damaged lists of the suites fewshot and fgvc: each ends before any training with one line."""

import json
import os
from dataclasses import replace

import pytest

from benchmarks import run, suites
from tests.support.layout_files import write_fewshot, write_fgvc

QUICK = ["--methods", "linear", "--backbone", "vit_nano", "--results", "../results"]
TRAIN = "annotations/train_meta.list.num_shot_1.seed_0"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def gone(name):
    return lambda task: (task / name).unlink()


def content(name, value):
    return lambda task: (task / name).write_bytes(value)


def pipe(name):
    def damage(task):
        (task / name).unlink()
        os.mkfifo(task / name)

    return damage


def last(name, line):
    """Another last line of a list."""

    def damage(task):
        lines = (task / name).read_text().splitlines()
        (task / name).write_text("\n".join([*lines[:-1], line]) + "\n")

    return damage


def longer(name, line):
    return lambda task: (task / name).write_text((task / name).read_text() + line)


IMAGE = "images/test/a b/0_0.png"
FEWSHOT = [
    (lambda task: task.rename(task.with_name("other")), "the data of fewshot/pets@1 are not below DIR: ..."),
    (gone(TRAIN), f"DIR/oxford-pets: no {TRAIN}; NOAH's lists have the seeds 0, 1 and 2; ... has it"),
    (gone("annotations/test_meta.list"), "DIR/oxford-pets: no annotations/test_meta.list; ... has it"),
    (pipe("annotations/val_meta.list"), "cannot read DIR/oxford-pets/annotations/val_meta.list: it is a pipe, ..."),
    (content(TRAIN, b""), f"DIR/oxford-pets/{TRAIN}: lists no image"),
    (content(TRAIN, b"\x89PNG\r\n"), f"DIR/oxford-pets/{TRAIN}: no text in UTF-8: ..."),
    (longer(TRAIN, "train/a b/0_0.png 0\n"), f"DIR/oxford-pets/{TRAIN}: lists 7 images, but pets@1 has 6"),
    (last(TRAIN, "train/a b/2_0.png"), f"DIR/oxford-pets/{TRAIN}, line 6: label 'b/2_0.png' is not a number from 0"),
    (last(TRAIN, "2"), f"DIR/oxford-pets/{TRAIN}, line 6: '2' is not 'PATH LABEL'"),
    (last(TRAIN, "train/a b/2_0.png 3"), f"DIR/oxford-pets/{TRAIN}: label 3, but pets@1 has 0 to 2"),
    (last(TRAIN, "../../outside/a.png 2"), f"DIR/oxford-pets/{TRAIN}, line 6: path '../../outside/a.png' leaves ..."),
    (
        last(TRAIN, "test/a b/2_0.png 2"),
        "DIR/oxford-pets: ... (label 2 in train) and ... are the same file; leave one out",
    ),
    (gone(IMAGE), f"cannot read DIR/oxford-pets/{IMAGE}: No such file or directory"),
    (content(IMAGE, b"text"), f"cannot decode DIR/oxford-pets/{IMAGE}: it is no image of a known format; ..."),
    (content(IMAGE, EPS), f"cannot decode DIR/oxford-pets/{IMAGE}: it is EPS; convert it to ..."),
]


@pytest.mark.parametrize(("damage", "line"), FEWSHOT)
def test_a_damaged_few_shot_set_is_refused(damage, line, tmp_path, refused, monkeypatch):
    tasks = suites.get("fewshot").tasks
    few = replace(tasks["pets@1"], labels=("0", "1", "2"), train=6, val=6, test=9)
    monkeypatch.setitem(tasks, "pets@1", few)  # type: ignore[arg-type]
    write_fewshot(tmp_path / "mine/oxford-pets", shots=(1,), twice=True)
    damage(tmp_path / "mine/oxford-pets")
    refused(run.main, ["--suite", "fewshot", "--tasks", "pets@1", *QUICK], line)


def value(name, one):
    """Another class id of the first image of a file."""

    def damage(task):
        listed = json.loads((task / name).read_text())
        (task / name).write_text(json.dumps({**listed, next(iter(listed)): one}))

    return damage


def named(name, path):
    """Another path of the first image of a file."""

    def damage(task):
        listed = json.loads((task / name).read_text())
        first = next(iter(listed))
        (task / name).write_text(json.dumps({path if key == first else key: one for key, one in listed.items()}))

    return damage


BIRD = "images/007.bird/test_0.png"
FIRST = "007.bird/train_0.png"
FGVC = [
    (lambda task: task.rename(task.with_name("other")), "the data of fgvc/cub are not below DIR: ..."),
    (gone("val.json"), "DIR/cub: no val.json; a set has train.json, val.json, test.json"),
    (pipe("test.json"), "cannot read DIR/cub/test.json: it is a pipe, not a file"),
    (content("train.json", b"{"), "DIR/cub/train.json: no JSON: ..."),
    (content("train.json", b"\xff{}"), "DIR/cub/train.json: no text in UTF-8: ..."),
    (content("train.json", b"[" * 100_000), "DIR/cub/train.json: no JSON: ..."),
    (content("train.json", b'["a.png"]'), "DIR/cub/train.json: must map paths of images to class ids, as in ..."),
    (content("train.json", b"{}"), "DIR/cub/train.json: lists no image"),
    (content("train.json", b'{"a.png": 7, "a.png": 30}'), "DIR/cub/train.json: 'a.png' is there twice"),
    (value("train.json", 1.5), f"DIR/cub/train.json: '{FIRST}' has class id '1.5', which is neither ..."),
    (value("train.json", {"a": 1}), f"DIR/cub/train.json: '{FIRST}' has class id \"[('a', 1)]\", which is neither ..."),
    (value("train.json", "7"), "DIR/cub: some class ids are numbers and others are texts"),
    (value("train.json", 8), "DIR/cub/train.json: lists 3 classes, but cub has 2"),
    (named("train.json", "../a.png"), "DIR/cub/train.json: path '../a.png' leaves the folder; give one below it"),
    (named("train.json", "007.bird/gone.png"), "cannot read DIR/cub/images/007.bird/gone.png: No such file or ..."),
    (named("train.json", "007.bird/test_0.png"), "DIR/cub: ... are the same file; leave one out"),
    (content(BIRD, b"text"), f"cannot decode DIR/cub/{BIRD}: it is no image of a known format; ..."),
    (content("val.json", b'{"007.bird/val_0.png": 7}'), "DIR/cub/val.json: lists 1 images, but cub has 4"),
]


@pytest.mark.parametrize(("damage", "line"), FGVC)
def test_a_damaged_fgvc_set_is_refused(damage, line, tmp_path, refused, monkeypatch):
    tasks = suites.get("fgvc").tasks
    monkeypatch.setitem(tasks, "cub", replace(tasks["cub"], labels=("0", "1"), train=8, val=4, test=6))  # type: ignore[arg-type]
    write_fgvc(tmp_path / "mine/cub")
    damage(tmp_path / "mine/cub")
    refused(run.main, ["--suite", "fgvc", "--tasks", "cub", *QUICK], line)
