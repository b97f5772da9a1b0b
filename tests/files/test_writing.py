"""Writing files: whole or not at all, and one line where the system refuses."""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.files import sealed
from benchmarks.files.writing import WriteError, read_text, write_atomic, writing
from methods.errors import UserError


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path, monkeypatch):
    write_atomic(tmp_path / "new" / "a.txt", "old")

    def full(descriptor: int):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        write_atomic(tmp_path / "new" / "a.txt", b"new")
    assert [(path.name, path.read_text()) for path in (tmp_path / "new").iterdir()] == [("a.txt", "old")]


def test_a_file_above_the_limit_of_the_system_is_one_line_and_leaves_nothing(tmp_path, limited):
    write_atomic(tmp_path / "a.txt", "old")
    with limited(1000), pytest.raises(WriteError, match=r"cannot write .*a\.txt: file too large"):
        write_atomic(tmp_path / "a.txt", bytes(2000))
    with limited(1000), pytest.raises(WriteError, match=r"cannot write .*b\.u8: file too large"):
        sealed.write(tmp_path / "b.u8", [bytes(600)] * 2)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize(
    ("code", "elsewhere", "line"),
    [
        (errno.ENOSPC, "", "no space left on device. Free some space and run the command again."),
        (errno.EACCES, "", "permission denied. Correct that and run the command again."),
        (errno.ENOSPC, "use DIR", "no space left on device. Free some space and run the command again, or use DIR."),
    ],
)
def test_an_error_of_the_system_becomes_one_line(code, elsewhere, line):
    with pytest.raises(UserError) as raised, writing(Path("x"), elsewhere):
        raise OSError(code, os.strerror(code))
    assert str(raised.value) == f"cannot write x: {line}"


def test_a_bug_while_a_file_is_written_stays_a_bug():
    with pytest.raises(KeyError), writing(Path("x")):
        raise KeyError("bug")


def test_a_text_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"a\.txt: no text in UTF-8: .* at byte 3"):
        read_text(tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"cannot read .*b\.txt: No such file"):
        read_text(tmp_path / "b.txt")


def test_a_link_is_replaced_and_its_file_stays(tmp_path):
    outside = tmp_path / "outside.txt"
    outside.write_text("theirs")
    for name in ("a.txt", f".a.txt.{os.getpid()}.partial"):
        (tmp_path / name).symlink_to(outside)
    write_atomic(tmp_path / "a.txt", "ours")
    assert (outside.read_text(), (tmp_path / "a.txt").read_text()) == ("theirs", "ours")
    assert not (tmp_path / "a.txt").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "outside.txt"}


@pytest.fixture
def umask_022() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask_022")
@pytest.mark.parametrize(("mode", "folders", "files"), [(0o2775, 0o2775, 0o664), (0o755, 0o755, 0o644)])
def test_what_is_written_is_shared_with_the_group_as_its_folder_is(mode, folders, files, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    write_atomic(shared / "runs" / "suite" / "a.json", "{}")
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in shared.rglob("*")}
    assert found == {"runs": folders, "suite": folders, "a.json": files}
