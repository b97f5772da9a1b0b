"""Damaged and hostile image tasks: each ends before any training with one line, and nothing else happens."""

import os
import pickle
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import run
from tests.support.bait import Bait
from tests.support.layout_files import write_image_folder, write_lists

ASKED = ["--suite", "folder", "--methods", "linear", "--results", "../results"]
FIRST = "train/cat/0.png"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
FOREIGN = {  # by what the line calls them
    "no image of a known format": [b"", b"text", b"<svg/>", b"PK\3\4" + bytes(60), pickle.dumps(Bait(Path("proof")))],
    "EPS": [EPS, b"\xc5\xd0\xd3\xc6" + bytes(28) + EPS],
    "PSD": [b"8BPS" + bytes(60)],
    "WMF": [b"\xd7\xcd\xc6\x9a\0\0" + bytes(60)],
    "JPEG2000": [b"\xff\x4f\xff\x51" + bytes(60)],
    "HDF5": [b"\x89HDF\r\n\x1a\n" + bytes(60)],
}
PACKED = ("png", "jpg", "gif", "webp", "bmp", "tif", "ppm")
SAME = "are the same folder; remove the link"


def content(value):
    """Another content of the first training image."""
    return lambda task: (task / FIRST).write_bytes(value)


def half(ending):
    def damage(task):
        path = task / f"train/cat/half.{ending}"
        Image.open(task / FIRST).resize((64, 64)).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def huge_png(task):
    """A header that tells of 65,536 x 65,536 pixels, with its checksum."""
    value = bytearray((task / FIRST).read_bytes())
    value[16:24] = 2 * (2**16).to_bytes(4, "big")
    value[29:33] = zlib.crc32(value[12:29]).to_bytes(4, "big")
    (task / FIRST).write_bytes(value)


def huge_bmp(task):
    Image.open(task / FIRST).save(task / "train/cat/x.bmp")
    value = bytearray((task / "train/cat/x.bmp").read_bytes())
    value[18:26] = 2 * (2**16).to_bytes(4, "little")
    (task / "train/cat/x.bmp").write_bytes(value)


def deep(kind, ending):
    return lambda task: Image.fromarray(np.ones((4, 4), kind)).save(task / f"train/cat/deep.{ending}")


def link(name, target):
    """A link, in place of the file of this name if there is one."""

    def damage(task):
        (task / name).unlink(missing_ok=True)
        (task / name).symlink_to(target)

    return damage


def pipe(name):
    def damage(task):
        (task / name).unlink()
        os.mkfifo(task / name)

    return damage


def hard_link(task):
    (task / "train/dog/9.png").hardlink_to(task / FIRST)


def foreign_name(name):
    def damage(task):
        path = Path(os.fsdecode(os.path.join(os.fsencode(task), name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((task / FIRST).read_bytes())

    return damage


def one_class(task):
    for split in ("train", "test"):
        (task / split / "dog").rename(task.parent / f".{split}")


def too_deep(levels):
    """Folders between the splits and their classes."""

    def damage(task):
        for split in ("train", "test"):
            (task / split).rename(task / "moved")
            (task / split / levels).parent.mkdir(parents=True)
            (task / "moved").rename(task / split / levels)

    return damage


def self_inside(task):
    """A class whose only folder is the class."""
    one_class(task)
    (task / "train/cat/loop").symlink_to(".")


FOLDERS = [
    *(
        (content(one), f"cannot decode DIR/x/{FIRST}: it is {kind}; convert it to BMP, ...")
        for kind in FOREIGN
        for one in FOREIGN[kind]
    ),
    *((half(end), f"cannot decode DIR/x/train/cat/half.{end}: ...") for end in PACKED),
    (content(b"GIF89a"), f"cannot decode DIR/x/{FIRST}: ..."),
    (content(b"II*\0"), f"cannot decode DIR/x/{FIRST}: ..."),
    (huge_png, f"cannot decode DIR/x/{FIRST}: Image size (4294967296 pixels) exceeds limit ..."),
    (huge_bmp, "cannot decode DIR/x/train/cat/x.bmp: Image size (4294967296 pixels) exceeds limit ..."),
    (deep(np.uint16, "png"), "cannot decode DIR/x/train/cat/deep.png: it has I;16 pixels with more than 8 bits ..."),
    (deep(np.float32, "tif"), "cannot decode DIR/x/train/cat/deep.tif: it has F pixels with more than 8 bits ..."),
    (pipe(FIRST), f"cannot read DIR/x/{FIRST}: it is a pipe, not a file"),
    (link(FIRST, "/dev/zero"), f"DIR/x/{FIRST} leads to /dev/zero, outside the data root DIR; put a copy there, ..."),
    (
        link(FIRST, "../../../../outside/test/cat/0.png"),
        f"DIR/x/{FIRST} leads to TMP/outside/test/cat/0.png, outside ...",
    ),
    (link("train/cat/on", "../../../../outside"), "DIR/x/train/cat/on leads to TMP/outside, outside ..."),
    (link("train/cow", "../../../outside/test"), "DIR/x/train/cow leads to TMP/outside/test, outside ..."),
    (link(FIRST, "gone.png"), f"cannot read DIR/x/{FIRST}: No such file or directory"),
    (link(FIRST, "0.png"), f"cannot read DIR/x/{FIRST}: Too many levels of symbolic links"),
    (link("train/cat/loop", "."), f"DIR/x: train/cat/loop and train/cat {SAME}"),
    (link("train/cat/loop", "../.."), f"DIR/x: train/cat/loop/train/cat and train/cat {SAME}"),
    (link("train/loop", "."), f"DIR/x: train/loop/... and train/... {SAME}"),
    (link("train/cat/more", "../../test/cat"), f"DIR/x: test/cat and train/cat/more {SAME}"),
    (link("val", "test"), f"DIR/x: val/cat and test/cat {SAME}"),
    (link("train/cat/t.png", "../../test/cat/0.png"), "DIR/x: ... (label 0 in test) are the same file; leave one out"),
    (
        hard_link,
        "DIR/x: train/cat/0.png (label 0 in train) and train/dog/9.png (label 1 in train) are the same file; ...",
    ),
    (foreign_name(b"train/cat/caf\xe9.png"), "DIR/x/train/cat/caf\\xe9.png: this name is not UTF-8; rename it"),
    (foreign_name(b"train/caf\xe9/0.png"), "DIR/x/train/caf\\xe9: this name is not UTF-8; rename it"),
    (foreign_name(b"../caf\xe9/train/a/0.png"), "DIR/caf\\xe9: this name is not UTF-8; rename it"),
    (one_class, "DIR/x: its only class is 'cat'; a task needs two classes or more"),
    (too_deep("images"), "DIR/x: its only class is 'images'; ...; cat, dog in train/images look like the classes, ..."),
    (too_deep("a/b/c"), "DIR/x: its only class is 'a'; ...; cat, dog in train/a/b/c look like the classes, ..."),
    (self_inside, "DIR/x: its only class is 'cat'; a task needs two classes or more"),
]


@pytest.mark.parametrize(("damage", "line"), FOLDERS)
def test_a_damaged_folder_of_images_is_refused(damage, line, tmp_path, refused):
    write_image_folder(tmp_path / "mine/x", train=3, test=1)
    damage(tmp_path / "mine/x")
    refused(run.main, ASKED, line)


def listed(line, linked=None):
    """A line at the end of the training list, and a link in the task's folder."""

    def damage(task):
        with (task / "train800.txt").open("a") as file:
            file.write(line)
        if linked:
            (task / "linked").symlink_to(linked)

    return damage


def one_label(task):
    for path in task.glob("*.txt"):
        path.write_text(path.read_text().replace(" 1\n", " 0\n"))


def no_text(task):
    (task / "test.txt").write_bytes(b"\x89PNG\r\n\x1a\n")


LISTS = [
    (listed("images/a.png 1000000000"), "DIR/x/train800.txt, line 9: label 1000000000 is above 99999"),
    (listed("../../outside/a.png 0"), "DIR/x/train800.txt, line 9: path '../../outside/a.png' leaves the folder; ..."),
    (listed("linked/0.png 0", "../../outside/test/cat"), "DIR/x/linked leads to TMP/outside/test/cat, outside ..."),
    (listed("linked/test/000001.png 1", "images"), "DIR/x: ... (label 1 in test) are the same file; leave one out"),
    (listed("images/test 0"), "cannot read DIR/x/images/test: it is a folder, not a file"),
    (listed("images/test/000001.png 1"), "DIR/x: ... (label 1 in test) are the same file; leave one out"),
    (listed("images/train/000001.png 0"), "DIR/x: ... (label 0 in train) are the same file; leave one out"),
    (pipe("test.txt"), "DIR/x: no test.txt; the layout of VTAB-1K has ..."),
    (no_text, "DIR/x/test.txt: no text in UTF-8: invalid start byte at byte 0"),
    (one_label, "DIR/x: its only class is '0'; a task needs two classes or more"),
]


@pytest.mark.parametrize(("damage", "line"), LISTS)
def test_a_damaged_list_of_images_is_refused(damage, line, tmp_path, refused):
    write_lists(tmp_path / "mine/x")
    damage(tmp_path / "mine/x")
    refused(run.main, ASKED, line)
