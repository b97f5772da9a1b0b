"""Zip archives from elsewhere: unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

MOST_BYTES = 20 * 10**9  # four times VTAB-1K, whose JPEGs hardly shrink in a zip
MOST_MEMBERS = 10**6  # VTAB-1K has some 430,000 images
SEAL = ".sha256"  # of the archive; its file is written last
LEFT_OUT = ("__MACOSX", ".DS_Store")  # what macOS adds
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def sealed(folder: Path) -> str | None:
    """The SHA-256 of the archive that ``folder`` was unpacked from; None for a folder that ``unpack`` did not make."""
    seal = folder / SEAL
    return seal.read_text().strip() if seal.is_file() else None


def unpack(archive: Path, folder: Path, digest: str, lists: Collection[str]) -> None:
    """Unpack the folders that hold files named in ``lists``, and what is below them, directly into a new ``folder``.

    Folders of the archive above them are dropped. ``folder`` appears when it is complete, sealed with ``digest``.

    Raises:
        ValueError: damage, members that would leave the folder, too much of it, or no such folders.
        OSError: nothing can be written; ``folder`` is then not there.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        with zipfile.ZipFile(archive) as source:
            _extract(source, partial, _plan(source.infolist(), archive, lists))
        (partial / SEAL).write_text(f"{digest}\n")
        partial.rename(folder)
    except DAMAGE as error:
        again = "delete it and repeat the command"
        raise ValueError(f"{archive} is not a whole zip file ({error or type(error).__name__}): {again}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _plan(members: Collection[zipfile.ZipInfo], archive: Path, lists: Collection[str]) -> dict[str, zipfile.ZipInfo]:
    """The path below the folder of every member to unpack, all checked before the first byte is written."""
    total = sum(member.file_size for member in members)
    if total > MOST_BYTES or len(members) > MOST_MEMBERS:
        holds = f"{total / 1e9:,.1f} GB in {len(members):,} members"
        most = f"at most {MOST_BYTES / 1e9:.0f} GB in {MOST_MEMBERS:,} are unpacked"
        raise ValueError(f"{archive} says that it holds {holds}; {most}: it is not what it should be, delete it")
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        room = f"needs {total / 1e9:,.1f} GB in {archive.parent}, where {free / 1e9:,.1f} GB are free"
        raise ValueError(f"unpacking {archive} {room}: free some and repeat the command")
    paths: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in members:
        path = _path(member, archive)
        if path in paths:
            raise ValueError(f"{archive} holds {str(path)!r} twice and is not unpacked: delete it")
        if not member.is_dir() and not set(LEFT_OUT).intersection(path.parts):
            paths[path] = member
    tops = {path.parent.parent for path in paths if path.name in lists and len(path.parts) > 1}
    if not tops:
        raise ValueError(f"{archive} has no folder with {', '.join(lists)} and is not what it should be: delete it")
    base = PurePosixPath(posixpath.commonpath([str(top) for top in tops]))
    return {str(path.relative_to(base)): member for path, member in paths.items() if path.is_relative_to(base)}


def _path(member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """A member's path, relative and without '..' on every system.

    Raises:
        ValueError: there is none, or the member is no file or folder.
    """
    name = PureWindowsPath(member.filename)  # splits at / and \, knows drives
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.anchor or ".." in name.parts or ":" in member.filename or not member.filename:
        wrong = "has no path below the folder"
    elif not member.is_dir() and kind not in (0, stat.S_IFREG):  # 0: made where files have no mode
        wrong = "is a link or a special file"
    elif member.flag_bits & 1:
        wrong = "is encrypted"
    else:
        return PurePosixPath(*name.parts)
    raise ValueError(f"{archive} holds {member.filename!r}, which {wrong}; nothing of it is unpacked: delete it")


def _extract(source: zipfile.ZipFile, folder: Path, plan: dict[str, zipfile.ZipInfo]) -> None:
    """Write every member; zipfile checks their CRCs and reads no more than the sizes that were added up."""
    from benchmarks.cli import progress

    made: set[str] = set()
    with progress() as bar:
        shown = bar.add_task(f"unpacking to {folder.parent}", total=len(plan))
        for path, member in plan.items():
            target = folder / path
            parent = os.path.dirname(path)
            if parent not in made:
                target.parent.mkdir(parents=True, exist_ok=True)
                made.add(parent)
            with source.open(member) as packed, target.open("xb") as file:
                shutil.copyfileobj(packed, file)
            bar.advance(shown)
