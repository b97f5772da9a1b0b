"""Unpacking zip archives of others: whole or not at all, and never outside their folder."""

import posixpath
import shutil
import stat
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath, PureWindowsPath

from benchmarks.cli import progress
from benchmarks.files.writing import read_text
from methods.errors import UserError

MOST_BYTES = 20 * 10**9  # four times the largest archive of a suite (VTAB-1K)
MOST_MEMBERS = 10**6  # that archive has some 430,000
SEAL = ".sha256"  # a file with the digest of the archive, written last
LEFT_OUT = ("__MACOSX", ".DS_Store")  # what macOS adds
PLAIN = (0, stat.S_IFREG)  # modes of plain files; 0 from systems without file modes
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def sealed(folder: Path) -> str | None:
    """The SHA-256 of the archive that ``folder`` was unpacked from; None if ``unpack`` did not make the folder."""
    seal = folder / SEAL
    return read_text(seal).strip() if seal.is_file() else None


def unpack(archive: Path, folder: Path, digest: str, lists: Collection[str]) -> None:
    """Unpack the folders of tasks, which hold files named in ``lists``, into a new ``folder``.

    Folders of the archive above those of the tasks are dropped. ``folder`` appears only when it is complete, with
    ``digest`` in its seal.

    Raises:
        UserError: the archive is damaged or too large, has no tasks, or has members that would leave the folder.
        OSError: the disk refuses; ``folder`` is then not there.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        with zipfile.ZipFile(archive) as source:
            _extract(source, partial, _plan(source.infolist(), archive, lists))
        (partial / SEAL).write_text(f"{digest}\n")
        partial.rename(folder)
    except DAMAGE as error:
        again = "delete it and run the command again"
        raise UserError(f"{archive} is not a whole zip file ({error or type(error).__name__}): {again}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _plan(members: Collection[zipfile.ZipInfo], archive: Path, lists: Collection[str]) -> dict[str, zipfile.ZipInfo]:
    """The path below the folder of every member to unpack, all checked before the first byte is written."""
    total = sum(member.file_size for member in members)
    if total > MOST_BYTES or len(members) > MOST_MEMBERS:
        holds = f"{total / 1e9:,.1f} GB in {len(members):,} members"
        most = f"at most {MOST_BYTES / 1e9:.0f} GB in {MOST_MEMBERS:,} are unpacked"
        raise UserError(f"{archive} says that it holds {holds}; {most}. It is another archive than expected; delete it")
    free = shutil.disk_usage(archive.parent).free
    if total > free:
        room = f"needs {total / 1e9:,.1f} GB in {archive.parent}, where {free / 1e9:,.1f} GB are free"
        raise UserError(f"unpacking {archive} {room}: free some space and run the command again")
    paths: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for member in members:
        path = _path(member, archive)
        if path in paths:
            raise UserError(f"{archive} holds {str(path)!r} twice and is not unpacked: delete it")
        if not member.is_dir() and not set(LEFT_OUT).intersection(path.parts):
            paths[path] = member
    tops = {path.parent.parent for path in paths if path.name in lists and len(path.parts) > 1}
    if not tops:
        wanted = ", ".join(lists)
        raise UserError(f"{archive} has no folder with {wanted}. It is another archive than expected; delete it")
    base = PurePosixPath(posixpath.commonpath([str(top) for top in tops]))
    return {str(path.relative_to(base)): member for path, member in paths.items() if path.is_relative_to(base)}


def _path(member: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """A member's path, relative and without '..' on every system."""
    name = PureWindowsPath(member.filename)  # splits at / and \, knows drives
    kind = stat.S_IFMT(member.external_attr >> 16)
    if name.anchor or ".." in name.parts or ":" in member.filename or not member.filename:
        wrong = "has no path below the folder"
    elif not member.is_dir() and kind not in PLAIN:
        wrong = "is a link or a special file"
    elif member.flag_bits & 1:
        wrong = "is encrypted"
    else:
        return PurePosixPath(*name.parts)
    raise UserError(f"{archive} holds {member.filename!r}, which {wrong}; nothing of it is unpacked: delete it")


def _extract(source: zipfile.ZipFile, folder: Path, plan: dict[str, zipfile.ZipInfo]) -> None:
    """Write every member. zipfile checks the CRCs and reads no more than the stated sizes."""
    with progress() as bar:
        for path, member in bar.track(plan.items(), description=f"unpacking to {folder.parent}"):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with source.open(member) as packed, (folder / path).open("xb") as file:
                shutil.copyfileobj(packed, file)
