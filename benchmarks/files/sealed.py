"""Files that can be made again: each ends with a digest, and one whose digest does not fit is made again.

The digest is SHA-256 over the file's name, its folder's name, and the SHA-256 of every 64 MiB of the content. It finds
files that are cut, partly zero, or another file under this name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import warn
from benchmarks.files.writing import WriteError, replacing

if TYPE_CHECKING:
    from torch import Tensor

DIGEST_BYTES = 32
CHUNK_BYTES, PIECE_BYTES = 1 << 26, 1 << 18  # hashed by one thread; read at a time


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of a file, while other processes of this machine that want to make the file wait.

    A warning names the file if it is there and damaged.

    Raises:
        OSError: the folder cannot be made or written.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):  # the system releases it when its holder dies
        for left in path.parent.glob(f".{path.name}.*.partial"):  # of processes that were killed
            left.unlink(missing_ok=True)
        warn_if_damaged(path)
        yield


def warn_if_damaged(path: Path) -> None:
    """Show a warning if something has this name and is not what ``write`` wrote."""
    if os.path.lexists(path) and not is_whole(path):
        warn(f"{path} is damaged; its content is made again")


def write(path: Path, parts: Iterable[bytes]) -> None:
    """Write parts one after the other, and their digest. The file has its name only when it is whole.

    Raises:
        WriteError: the system refused, or a folder has this name.
    """
    if path.is_dir():
        raise WriteError(f"cannot write {path}: a folder has this name; remove it and run the command again")
    with replacing(path) as file:
        for part in parts:
            file.write(part)
        file.flush()
        file.write(_digest(path, file.fileno(), file.tell()))


def is_whole(path: Path) -> bool:
    """Whether there is a file that ``write`` wrote under this name. The whole file is read, but not kept in memory."""
    try:
        if not path.is_file():  # opening a pipe might never end
            return False
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size - DIGEST_BYTES
            return length >= 0 and os.pread(file.fileno(), DIGEST_BYTES, length) == _digest(path, file.fileno(), length)
    except OSError:
        return False


def read(path: Path) -> bytes | None:
    """The parts that were written; None if the file is not there or not whole."""
    return path.read_bytes()[:-DIGEST_BYTES] if is_whole(path) else None


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors by name and texts by name, as ``write`` does."""
    from safetensors.torch import save

    write(path, [save(tensors, metadata=metadata)])


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """What ``write_tensors`` wrote; None if the file is not there or not whole."""
    from safetensors.torch import load

    content = read(path)
    if content is None:
        return None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])  # the layout of safetensors
    return load(content), header["__metadata__"]


def _digest(path: Path, descriptor: int, length: int) -> bytes:
    """The digest of a file's first ``length`` bytes; threads hash the chunks side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        chunks = pool.map(partial(_chunk, descriptor, length), range(0, length, CHUNK_BYTES))
        name = f"{path.parent.name}/{path.name}\n".encode()
        return hashlib.sha256(b"".join([name, *chunks])).digest()


def _chunk(descriptor: int, length: int, start: int) -> bytes:
    sha256 = hashlib.sha256()
    end = min(start + CHUNK_BYTES, length)
    for at in range(start, end, PIECE_BYTES):
        sha256.update(os.pread(descriptor, min(PIECE_BYTES, end - at), at))
    return sha256.digest()
