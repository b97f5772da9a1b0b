"""A suite's files: VTAB-1K comes from the Hugging Face hub; of the others it is said where they are to be had."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.files.download import DownloadError, ask, download, sha256
from benchmarks.files.unpack import sealed, unpack
from methods.errors import unknown

REPOSITORY = "XiN0919/VTAB-1k"
ARCHIVE, FOLDER = "vtab-1k.zip", "vtab-1k"
LISTS = ("train800.txt", "val200.txt", "train800val200.txt", "test.txt")
PAGE = f"https://huggingface.co/datasets/{REPOSITORY}"
FULL = (errno.ENOSPC, errno.EDQUOT)

ELSEWHERE = {  # with {} for the data root
    "scanobjectnn": (
        "scanobjectnn cannot be fetched by a command: its page https://hkust-vgd.github.io/scanobjectnn/ hands it out"
        " after a form with terms of use; put main_split/ and main_split_nobg/, each with training_objectdataset.h5 and"
        " test_objectdataset.h5, the first also with both as *_augmentedrot_scale75.h5, below {}/scanobjectnn"
    ),
    "modelnet40": (
        "modelnet40 cannot be fetched by a command: it is from https://modelnet.cs.princeton.edu, and DATASET.md of"
        " https://github.com/Julie-tang00/Point-BERT links point clouds made of it and its few-shot folds; put"
        " modelnet40_ply_hdf5_2048/, modelnet40_normal_resampled/ (text clouds, or .dat to convert) or"
        " ModelNetFewshot/ below {}"
    ),
    "folder": "folder is a suite of your own files in {}: nothing is fetched; its layouts: benchmarks/suites/README.md",
}


def fetch(suite: str, root: Path) -> str:
    """Get the files of a suite into a folder below ``root``; one line on what is there.

    Raises:
        ValueError: unknown suite, one that cannot be fetched, or a download or archive that failed; what to do is said.
    """
    if suite == "offline":
        return "offline needs no files: its tasks are drawn, or come with scikit-learn"
    if suite in ELSEWHERE:
        raise ValueError(ELSEWHERE[suite].format(root))
    if suite != "vtab1k":
        raise ValueError(unknown("suite", suite, {"offline", "vtab1k", *ELSEWHERE}))
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root / f"{ARCHIVE}.lock"), _room(root):
        _vtab1k(root)
    names = sorted(path.name for path in (root / FOLDER).iterdir() if path.is_dir())
    return f"vtab1k: {len(names)} folders in {root / FOLDER}: {', '.join(names)}"


def _vtab1k(root: Path) -> None:
    """Download what is not there, compare it with the recorded SHA-256, unpack it."""
    archive, folder, record = root / ARCHIVE, root / FOLDER, root / f"{ARCHIVE}.sha256"
    known = next(iter(record.read_text().split()), None) if record.is_file() else None
    if folder.exists():
        digest = _made_from(folder)
        _compare(f"what {folder} was unpacked from", digest, known, f"delete {folder} and repeat the command")
    else:
        digest = sha256(archive) if archive.is_file() else _download(archive, known)
        _compare(str(archive), digest, known, f"delete {archive} and repeat the command")
        unpack(archive, folder, digest, LISTS)
    if known is None:  # only now: of an archive that proved whole
        record.write_text(f"{digest}  {ARCHIVE}\n")


def _made_from(folder: Path) -> str:
    digest = sealed(folder)
    if digest is None:
        as_it_is = "'python -m benchmarks.data verify vtab1k' checks it as it is"
        raise ValueError(f"{folder} was not made by this command: {as_it_is}; to fetch anew, move it away and repeat")
    return digest


def _download(archive: Path, known: str | None) -> str:
    """Get the archive and return its SHA-256; one that the hub says is another than the recorded is not downloaded."""
    try:
        remote = ask(REPOSITORY, ARCHIVE)
        if remote.sha256:
            _compare(remote.url, remote.sha256, known, f"put the former {ARCHIVE} at {archive} and repeat the command")
        return download(remote, archive)
    except DownloadError as error:
        elsewhere = f"get {ARCHIVE} from {PAGE} on another machine, put it at {archive} and repeat the command"
        raise ValueError(f"{error}; or set HF_ENDPOINT to a mirror, or {elsewhere}") from error


def _compare(what: str, digest: str, known: str | None, cure: str) -> None:
    if known not in (None, digest):
        first = f"not {known} as {ARCHIVE}.sha256 recorded of the first download"
        accept = "or delete that record to accept the change"
        raise ValueError(f"{what} has sha256 {digest}, {first}: changed at its source, or damaged; {cure}, {accept}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep a second command from writing to the same files."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise ValueError(f"another command fetches into {path.parent} right now: wait until it is done") from error


@contextmanager
def _room(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        cure = "free some and repeat the command, or name another folder with --data-root"
        raise ValueError(f"no space is left in {root}: {cure}") from error
