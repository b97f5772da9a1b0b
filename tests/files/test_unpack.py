"""Unpacking downloaded archives: every layout gives the same folder, and no file lands outside it."""

import stat
import zipfile
from pathlib import Path

import pytest

from benchmarks.files import unpack
from benchmarks.suites import vtab1k
from methods.errors import UserError

LISTS = vtab1k.ARCHIVE.lists
TASK = {"cifar/test.txt": b"a 0\n", "cifar/images/a.jpg": b"jpeg"}


def made(path: Path, members: dict[str, bytes], *, kind: int = stat.S_IFREG) -> Path:
    """A zip file of the task folder and of further members, which have the mode ``kind``."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in TASK.items():
            archive.writestr(name, content)
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.filename = name  # as it is, where the system's separator is another
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("top", ["", "vtab-1k/", "./", "home/someone/vtab-1k/"])
def test_folders_above_the_tasks_are_dropped(top, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as source:
        source.writestr("README.md", "beside")
        source.writestr("__MACOSX/cifar/test.txt", "beside")
        source.writestr(f"{top}dtd/", "")
        for task in ("cifar", "dtd"):
            source.writestr(f"{top}{task}/test.txt", task)
            source.writestr(f"{top}{task}/images/test/0.jpg", b"\xff")
    unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    expected = {"cifar/test.txt": b"cifar", "dtd/test.txt": b"dtd", unpack.SEAL: b"d1\n"}
    expected |= {"cifar/images/test/0.jpg": b"\xff", "dtd/images/test/0.jpg": b"\xff"}
    beside = {"README.md": b"beside"} if top in ("", "./") else {}
    assert contents(tmp_path / "out") == expected | beside
    assert unpack.sealed(tmp_path / "out") == "d1"


OUTSIDE = (
    "../evil",
    "cifar/../../evil",
    "/tmp/evil",
    "..\\evil",
    "\\evil",
    "C:\\evil",
    "C:evil",
    "cifar/evil:stream",
    "\0",
)


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        *((name, stat.S_IFREG, "has no path below the folder; nothing of it is unpacked") for name in OUTSIDE),
        *(("cifar/link", kind, "is a link or a special file") for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR)),
        ("cifar/./test.txt", stat.S_IFREG, "twice"),
    ],
)
def test_members_that_are_no_new_file_in_the_folder_are_refused(name, kind, part, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    archive = made(home / "a.zip", {name: b"evil"}, kind=kind)
    with pytest.raises(UserError, match=part):
        unpack.unpack(archive, home / "out", "d1", LISTS)
    assert list(tmp_path.rglob("*")) == [home, archive]
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(("limit", "value"), [("MOST_BYTES", 10**6), ("MOST_MEMBERS", 2)])
def test_archives_that_are_too_large_are_refused(limit, value, tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, limit, value)
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as source:
        source.writestr("cifar/test.txt", "a 0\n")
        source.writestr("cifar/a.jpg", bytes(2 * 10**6))
        source.writestr("cifar/b.jpg", b"")
    assert archive.stat().st_size < 10**4
    with pytest.raises(UserError, match=r"0\.0 GB in 3 members; at most"):
        unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    assert list(tmp_path.iterdir()) == [archive]


def test_archives_without_tasks_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as source:
        source.writestr("cifar/cat/0.jpg", b"\xff")
    with pytest.raises(UserError, match=r"no folder with train800\.txt"):
        unpack.unpack(archive, tmp_path / "out", "d1", LISTS)


def test_damaged_member_leaves_nothing(tmp_path):
    archive = made(tmp_path / "a.zip", {"cifar/b.jpg": b"0123456789"})
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"0123456789", b"0123x56789"))
    with pytest.raises(UserError, match="not a whole zip file"):
        unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_interrupted_unpack_leaves_nothing_that_looks_finished(error, tmp_path, monkeypatch):
    archive = made(tmp_path / "a.zip", {})
    copy, calls = unpack.shutil.copyfileobj, []

    def copied(source: object, target: object):
        calls.append(target)
        if len(calls) == 2:
            raise error
        copy(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(unpack.shutil, "copyfileobj", copied)
    with pytest.raises(type(error)):
        unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    assert list(tmp_path.iterdir()) == [archive] and len(calls) == 2
    monkeypatch.undo()
    left = tmp_path / "out.partial" / "cifar"  # of a process that was killed
    left.mkdir(parents=True)
    (left / "stale.jpg").write_bytes(b"stale")
    unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    assert contents(tmp_path / "out") == TASK | {unpack.SEAL: b"d1\n"}
    assert not (tmp_path / "out.partial").exists()


def test_too_little_room_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    archive = made(tmp_path / "a.zip", {})
    monkeypatch.setattr(unpack.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3}))
    with pytest.raises(UserError, match="free some"):
        unpack.unpack(archive, tmp_path / "out", "d1", LISTS)
    assert list(tmp_path.iterdir()) == [archive]
