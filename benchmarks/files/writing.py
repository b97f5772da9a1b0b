"""Writing files: whole or not at all, and one line for the person where the system refuses."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from methods.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write under a temporary name, flush to the disk, rename.

    Raises:
        OSError: the system refuses; ``path`` is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, elsewhere: str = "") -> Iterator[None]:
    """Turn an error of the system while ``path`` is written into one line; ``elsewhere`` says how to choose a place.

    Raises:
        UserError: in the place of an OSError.
    """
    try:
        yield
    except OSError as error:
        remedy = "Free some space" if error.errno in FULL else "Correct that"
        other = f", or {elsewhere}" if elsewhere else ""
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"cannot write {path}: {reason}. {remedy} and run the command again{other}.") from error
