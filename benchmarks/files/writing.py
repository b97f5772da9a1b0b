"""Files that are read and written: each is whole or not there, and an error of the system becomes one line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from benchmarks.cli import cannot
from benchmarks.files.places import check_plain
from benchmarks.files.sharing import make_folder, share
from methods.errors import UserError


class WriteError(UserError, OSError):
    """A file cannot be written: the disk is full, or the folder is read-only or gone."""


@contextmanager
def writing(path: Path, elsewhere: str = "") -> Iterator[None]:
    """Turn an ``OSError`` of writing into one line that names the file; ``elsewhere`` says how to choose another place.

    Raises:
        WriteError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise WriteError(cannot(f"write {path}", error, elsewhere)) from error


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, flush it to the disk, then rename it; missing folders are made.

    A link under the file's name is replaced, and what it leads to stays as it was. In a folder that its group may write
    to, the group may write the file.

    Raises:
        WriteError: the system refused; the old file, if there is one, stays as it was.
    """
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file under a temporary name as ``write_atomic`` does; it gets its name if the block ends without error.

    Raises:
        WriteError: as in ``write_atomic``.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        make_folder(path.parent)
        partial.unlink(missing_ok=True)  # a killed process of the same number may have left one
        try:
            with open(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666), "w+b") as file:
                share(partial)
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8.

    Raises:
        UserError: the file cannot be read, is no plain file, or is not UTF-8.
    """
    check_plain(path)
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows may put a mark at the start
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: no text in UTF-8: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
