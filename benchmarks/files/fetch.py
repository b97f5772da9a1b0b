"""How the files of a suite are obtained: an archive of the Hugging Face hub, downloaded, checked and unpacked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from benchmarks.files.download import DownloadError, ask, download, sha256
from benchmarks.files.unpack import sealed, unpack
from benchmarks.files.writing import read_text, writing
from methods.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Archive:
    """A zip file of a dataset on the hub, which is unpacked into ``folder`` below the data root.

    A task is a folder of the archive that holds files named in ``lists``. ``check`` is the command that checks files
    which did not come from this archive.
    """

    repository: str
    name: str
    folder: str
    lists: tuple[str, ...]
    check: str

    @property
    def page(self) -> str:
        return f"https://huggingface.co/datasets/{self.repository}"


def fetch(archive: Archive, root: Path) -> str:
    """Get an archive and unpack it below ``root``. Returns one line on what is there.

    What was downloaded, recorded or unpacked before is used again.

    Raises:
        UserError: the download failed, the archive is not the recorded one, or the disk is full.
    """
    with writing(root, "name another folder with --data-root"):
        root.mkdir(parents=True, exist_ok=True)
        with _alone(root / f"{archive.name}.lock"):
            _obtain(archive, root)
        names = sorted(path.name for path in (root / archive.folder).iterdir() if path.is_dir())
    return f"{len(names)} folders in {root / archive.folder}: {', '.join(names)}"


def _obtain(archive: Archive, root: Path) -> None:
    """Download what is not there, compare it with the recorded SHA-256, unpack it."""
    file, folder, record = root / archive.name, root / archive.folder, root / f"{archive.name}.sha256"
    known = next(iter(read_text(record).split()), None) if record.is_file() else None
    if folder.exists():
        digest = sealed(folder)
        if digest is None:
            again = "To fetch them again, move the folder away and run the command again"
            raise UserError(f"{folder} was not made by this command. '{archive.check}' checks its files. {again}")
        cure = f"delete {folder} and run the command again"
        _compare(archive, f"the archive that {folder} was unpacked from", digest, known, cure)
    else:
        digest = sha256(file) if file.is_file() else _download(archive, file, known)
        _compare(archive, str(file), digest, known, f"delete {file} and run the command again")
        unpack(file, folder, digest, archive.lists)
    if known is None:  # recorded last, so that the record is of an archive that was whole
        record.write_text(f"{digest}  {archive.name}\n")


def _download(archive: Archive, file: Path, known: str | None) -> str:
    """Get the archive and return its SHA-256. Nothing is downloaded if the hub names another SHA-256 than recorded."""
    try:
        remote = ask(archive.repository, archive.name)
        if remote.sha256:
            cure = f"put the former {archive.name} at {file} and run the command again"
            _compare(archive, remote.url, remote.sha256, known, cure)
        return download(remote, file)
    except DownloadError as error:
        by_hand = f"get {archive.name} from {archive.page} on another machine, put it at {file}"
        ways = f"set HF_ENDPOINT to a mirror, or {by_hand} and run the command again"
        raise UserError(f"{error}; or {ways}") from error


def _compare(archive: Archive, what: str, digest: str, known: str | None, cure: str) -> None:
    if known not in (None, digest):
        raise UserError(
            f"{what} has sha256 {digest}, not {known} as {archive.name}.sha256 recorded at the first download: it was "
            f"changed at its source, or is damaged; {cure}, or delete that record to accept the change"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Refuse to write while another command writes the same files."""
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise UserError(f"another command fetches into {path.parent} right now; wait until it is done") from error
