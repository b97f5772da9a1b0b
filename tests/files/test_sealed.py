"""Files of the cache: whole ones are read back, everything else under their name is made again."""

import os

import pytest
import torch

from benchmarks.files import sealed
from benchmarks.files.writing import WriteError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A sealed file of several chunks."""
    monkeypatch.setattr(sealed, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(sealed, "PIECE_BYTES", 300)
    sealed.write(tmp_path / "images" / "one.u8", [CONTENT[:7], CONTENT[7:]])
    return tmp_path / "images" / "one.u8"


def zeros(path, start, stop):
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes(stop - start) + content[stop:])


def other(path):
    sealed.write(path.with_name("two.u8"), [CONTENT])
    path.with_name("two.u8").replace(path)


def of_another_folder(path):
    there = path.parent.with_name("fingerprints") / path.name
    sealed.write(there, [CONTENT])
    there.replace(path)


def instead(make):
    def replace(path):
        path.unlink()
        make(path)

    return replace


DAMAGE = {
    "cut": lambda path: os.truncate(path, 5000),
    "without its digest": lambda path: os.truncate(path, len(CONTENT)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "half zero": lambda path: zeros(path, 5120, 10240),
    "one byte zero": lambda path: zeros(path, 9999, 10000),
    "all zero": lambda path: zeros(path, 0, 10272),
    "two chunks exchanged": lambda path: path.write_bytes(
        CONTENT[1000:2000] + CONTENT[:1000] + path.read_bytes()[2000:]
    ),
    "of another task": other,
    "of another kind": of_another_folder,
    "empty": lambda path: path.write_bytes(b""),
    "a link to nothing": instead(lambda path: path.symlink_to("nothing")),
    "a pipe": instead(os.mkfifo),
    "a device": instead(lambda path: path.symlink_to("/dev/zero")),
}


def test_parts_are_read_back(path):
    assert sealed.is_whole(path)
    assert sealed.read(path) == CONTENT
    assert path.stat().st_size == len(CONTENT) + 32
    sealed.write(path.with_name("empty"), [])
    assert sealed.read(path.with_name("empty")) == b""


def test_a_moved_cache_folder_stays_whole(path, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    path.parent.replace(tmp_path / "elsewhere" / "images")
    assert sealed.read(tmp_path / "elsewhere" / "images" / path.name) == CONTENT


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_named_and_made_again(name, path, capsys):
    DAMAGE[name](path)
    assert sealed.read(path) is None
    with sealed.alone(path):
        sealed.write(path, [CONTENT])
    assert sealed.read(path) == CONTENT
    assert capsys.readouterr().err == f"warning: {path} is damaged; its content is made again\n"


def test_a_folder_in_the_place_of_a_file_is_left_alone(path):
    path.unlink()
    path.mkdir()
    assert not sealed.is_whole(path)
    with pytest.raises(WriteError, match=r"one\.u8: a folder has this name; remove it"):
        sealed.write(path, (pytest.fail("the parts were made") for _ in "x"))
    assert path.is_dir()


def test_whole_and_missing_files_give_no_warning(path, capsys):
    for name in ("one.u8", "missing.u8"):
        with sealed.alone(path.with_name(name)):
            assert sealed.is_whole(path.with_name(name)) == (name == "one.u8")
    assert capsys.readouterr().err == ""


def test_tensors_and_texts_are_read_back(tmp_path):
    path = tmp_path / "stage.safetensors"
    sealed.write_tensors(path, {"x": torch.arange(3)}, {"values": '{"a": "ä"}'})
    tensors, metadata = sealed.read_tensors(path) or ({}, {})
    assert tensors["x"].tolist() == [0, 1, 2] and metadata == {"values": '{"a": "ä"}'}
    sealed.write_tensors(path, {}, {"values": "1"})
    assert sealed.read_tensors(path) == ({}, {"values": "1"})


def test_what_a_killed_writer_left_is_removed(path):
    left = path.with_name(f".{path.name}.123.partial")
    left.write_bytes(b"half")
    with sealed.alone(path):
        assert not left.exists()
