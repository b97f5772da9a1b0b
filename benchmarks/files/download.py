"""Download of one file of a dataset on the Hugging Face hub, which continues after a cut connection or a new start.

``hf_hub_download`` does not read the partial file of an earlier command and begins at zero, which is too much to lose
of gigabytes. So the library's ``http_get`` writes into a partial file of ours, which stays.
"""

import hashlib
import os
import re
import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cli import progress
from methods.errors import UserError


class DownloadError(UserError):
    """The hub could not be reached, or did not hand out the file."""


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on the hub at one commit; ``size`` in bytes."""

    url: str
    etag: str
    size: int

    @property
    def sha256(self) -> str | None:
        """The file's SHA-256 as the hub says: the ETag of a large file; None for others."""
        return self.etag if re.fullmatch("[0-9a-f]{64}", self.etag) else None


def ask(repository: str, filename: str) -> Remote:
    """Ask the hub, or the mirror that HF_ENDPOINT names, for the newest version of a dataset's file.

    Raises:
        DownloadError: there is no connection, no such file or no permission, or the answer is not that of a hub.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    def url(revision: str) -> str:
        endpoint = os.environ.get("HF_ENDPOINT") or None  # read here, because the library reads it only at its import
        return hf_hub_url(repository, filename, repo_type="dataset", revision=revision, endpoint=endpoint)

    with explained(url("main")):
        found = get_hf_file_metadata(url("main"))
    if found.commit_hash is None or found.etag is None or found.size is None:
        raise DownloadError(f"{url('main')} does not answer as a Hugging Face hub does")
    return Remote(url=url(found.commit_hash), etag=found.etag, size=found.size)


def download(remote: Remote, target: Path) -> str:
    """Write the file to ``target`` and return its SHA-256. The bytes that an earlier try left are not downloaded again.

    Raises:
        DownloadError: the connection is cut and stays so, or the bytes have another SHA-256 than the hub says.
        UserError: the disk has no room for them.
        OSError: they cannot be written.
    """
    partial = target.with_name(f"{target.name}.{hashlib.sha256(remote.etag.encode()).hexdigest()[:8]}.partial")
    for outdated in set(target.parent.glob(f"{target.name}.*.partial")) - {partial}:
        outdated.unlink()
    free, rest = shutil.disk_usage(target.parent).free, remote.size - _size(partial, remote.size)
    if rest > free:
        room = f"{rest / 1e9:,.1f} GB are missing and {free / 1e9:,.1f} GB are free in {target.parent}"
        cure = "Free some space and run the command again, or name another folder with --data-root."
        raise UserError(f"cannot download {target.name}: {room}. {cure}")
    _complete(remote, partial)
    found = sha256(partial)
    if remote.sha256 not in (None, found):
        partial.unlink()
        raise DownloadError(f"the bytes from {remote.url} have sha256 {found}, not {remote.sha256} as the hub says")
    partial.replace(target)
    return found


def sha256(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with progress() as bar, bar.open(path, "rb", description="sha256, bytes") as file:
        while chunk := file.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()


def _complete(remote: Remote, partial: Path) -> None:
    """Download the bytes that the partial file lacks; try again as long as the last try changed something."""
    while (held := _size(partial, remote.size)) < remote.size:
        try:
            with explained(remote.url):
                _append(remote, partial, held)
        except DownloadError as error:
            now = _size(partial, remote.size)
            if now != held:  # it grew, or was deleted because a server without ranges sent everything again
                continue
            kept = f"{now / 1e6:,.0f} of {remote.size / 1e6:,.0f} MB are kept and the rest is asked for next time"
            raise DownloadError(f"{error}; {kept}" if now else str(error)) from error


def _size(partial: Path, most: int) -> int:
    """The size of a partial file. A file that is too long is deleted: a server may have ignored the range."""
    size = partial.stat().st_size if partial.exists() else 0
    if size > most:
        partial.unlink()
        return 0
    return size


def _append(remote: Remote, partial: Path, held: int) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers, logging

    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})  # a compressed answer would have no ranges
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # it would warn at every retry; the reason is shown once, at the end
    try:
        with partial.open("ab") as file:
            name = remote.url.rpartition("/")[2]
            http_get(
                remote.url, file, resume_size=held, headers=headers, expected_size=remote.size, displayed_filename=name
            )
    finally:
        logging.set_verbosity(before)


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn the exceptions of the hub's client into one line.

    Each major version of the client uses another HTTP library, and these have no common base class. The bases of the
    client's own HTTP error are the exceptions of the library in use.
    """
    from huggingface_hub.errors import HfHubHTTPError

    failures: tuple[type[BaseException], ...] = (*HfHubHTTPError.__bases__, OSError)
    try:
        yield
    except failures as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of this machine, such as a full disk
        raise DownloadError(_reason(error, url)) from error


def _reason(error: BaseException, url: str) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        login = "if the repository asks for it, log in with 'hf auth login' or set HF_TOKEN"
        return f"no permission for {url} (HTTP {status}), or no such repository: {login}"
    if status == 404:
        return f"there is no {url} (HTTP 404)"
    if status is not None:
        return f"{url} answers HTTP {status}: run the command again later"
    text = textwrap.shorten(str(error) or type(error).__name__, 160, placeholder=" ...")
    return f"cannot download {url} ({text}): check the connection and run the command again"
