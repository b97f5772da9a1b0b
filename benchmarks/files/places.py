"""Where the files of a task really are. Links stay inside and end, files are plain, and names can be shown."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.files.root import data_root
from methods.errors import UserError, check

# folders with copies and thumbnails that Synology, QNAP, macOS, Windows and Linux put between a person's files
OF_SYSTEMS = {
    *("@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "__macosx"),
    *("$recycle.bin", "system volume information", "lost+found"),
}
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is never read: it starts with a dot, or a system made it."""
    return name.startswith(".") or name.lower() in OF_SYSTEMS


def check_name(path: Path) -> None:
    """Refuse a path that is not UTF-8, because it can be neither shown nor recorded."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(path).decode(errors="backslashreplace")
        raise UserError(f"{shown}: this name is not UTF-8; rename it") from None


def check_plain(path: str | Path) -> os.stat_result:
    """The state of a file. Opening a pipe or a device instead might never end.

    Raises:
        UserError: there is no such file, or it is something else than a plain file.
    """
    try:
        state = os.stat(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    kind = KINDS.get(stat.S_IFMT(state.st_mode), "a device")
    check(stat.S_ISREG(state.st_mode), f"cannot read {path}: it is {kind}, not a file")
    return state


def check_formats(folder: Path, names: Sequence[str], unread: tuple[str, ...]) -> None:
    """Refuse files with one of the endings ``unread``. They would be left out, and a person would miss them."""
    found = sorted(name for name in names if name.lower().endswith(unread))
    first, more = folder / "".join(found[:1]), f" and {len(found) - 1} more are" if len(found) > 1 else " is"
    cure = "convert such files to JPEG or PNG, or move them"
    check(not found, f"{first}{more} of a format that is not read; {cure}")


def expand(given: Sequence[Path], endings: tuple[str, ...], unread: tuple[str, ...] = ()) -> list[Path]:
    """The files that a person gives, each once, and of a folder all with one of the endings, at any depth, in order.

    Hidden files and folders, and links to folders, are left out.

    Raises:
        UserError: a folder holds no such file or one with an ending of ``unread`` or cannot be read, or a name is not
            UTF-8.
    """
    found: dict[Path, None] = {}
    for path in given:
        inside = _below(path, endings, unread) if path.is_dir() else [path]
        check(bool(inside), f"{path} holds no file that ends in {', '.join(endings[:-1])} or {endings[-1]}")
        found |= dict.fromkeys(inside)
    for path in found:
        check_name(path)
    return list(found)


def _below(folder: Path, endings: tuple[str, ...], unread: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []

    def refuse(error: OSError) -> NoReturn:
        raise UserError(f"cannot read {error.filename}: {error.strerror}") from None

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not hidden(name)]
        shown = [name for name in names if not hidden(name)]
        check_formats(Path(place), shown, unread)
        found += [Path(place, name) for name in shown if name.lower().endswith(endings)]
    return sorted(found)


class Place:
    """The folder of a task. Its links may lead anywhere below it or below the data root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._roots = {os.path.realpath(folder), os.path.realpath(data_root())}
        self._inside = set[str]()  # folders that are known to lie below a root
        self._walked = dict[str, str]()  # by where they really are, the folders whose files were listed

    def state(self, path: str) -> os.stat_result:
        """The state of a file below the folder.

        Raises:
            UserError: there is no such file, it is no plain file, or a link leads out.
        """
        parent, full = path.rpartition("/")[0], f"{self.folder}/{path}"
        if parent not in self._inside:
            self._real(parent)
            self._inside.add(parent)
        if os.path.islink(full):
            self._real(path)
        return check_plain(full)

    def folders(self, below: str) -> list[str]:
        """The names of the folders in a folder, without hidden ones.

        Raises:
            UserError: the folder cannot be read, or a name is not UTF-8.
        """
        return sorted(self._named(below, name) for name, is_folder in self._entries(below) if is_folder)

    def files(self, below: str, endings: tuple[str, ...], unread: tuple[str, ...] = ()) -> list[str]:
        """Every file with one of the endings below a folder, at any depth, in the order of the paths; none is hidden.

        Raises:
            UserError: a folder cannot be read or holds a file with an ending of ``unread``, a name is not UTF-8, or a
                link leads out or to a folder listed before.
        """
        found, waiting = [], [below]
        while waiting:
            inside = waiting.pop()
            before = self._walked.setdefault(self._real(inside), inside)
            check(before == inside, f"{self.folder}: {inside} and {before} are the same folder; remove the link")
            entries = self._entries(inside)
            check_formats(self.folder / inside, [name for name, is_folder in entries if not is_folder], unread)
            for name, is_folder in entries:
                if is_folder:
                    waiting.append(f"{inside}/{self._named(inside, name)}")
                elif name.lower().endswith(endings):
                    found.append(f"{inside}/{self._named(inside, name)}")
        return sorted(found)

    def _named(self, inside: str, name: str) -> str:
        if not name.isascii():
            check_name(self.folder / inside / name)
        return name

    def _real(self, path: str) -> str:
        real = os.path.realpath(self.folder / path)
        fits = any(Path(real).is_relative_to(root) for root in self._roots)
        root = data_root()
        cure = "put a copy there, or give --data-root a folder above both"
        check(fits, f"{self.folder / path} leads to {real}, outside the data root {root}; {cure}")
        return real

    def _entries(self, inside: str) -> list[tuple[str, bool]]:
        """What is not hidden in a folder: names, and whether each is a folder."""
        try:
            with os.scandir(self.folder / inside) as entries:
                shown = [entry for entry in entries if not hidden(entry.name)]
        except OSError as error:
            raise UserError(f"cannot read {self.folder / inside}: {error.strerror}") from None
        return [(entry.name, os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()) for entry in shown]
