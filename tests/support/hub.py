"""A stand-in for the Hugging Face hub on loopback. It serves a small VTAB-1K, with ranges, and faults on demand."""

from __future__ import annotations

import hashlib
import io
import random
import re
import threading
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from benchmarks.suites.vtab1k import ARCHIVE

COMMIT = "1234567890abcdef1234567890abcdef12345678"
PATH = "/datasets/XiN0919/VTAB-1k/resolve/{commit}/vtab-1k.zip"
TASKS = ("caltech101", "cifar", "dtd")
CHUNK = 10 * 2**20  # huggingface_hub writes whole chunks; a cut connection loses the last one


def files() -> dict[str, bytes]:
    """Return the files of three task folders, each with four lists and one image."""
    made = {}
    for task in TASKS:
        lists = {f"{task}/{name}": b"images/train800/000000.jpg 0\n" for name in ARCHIVE.lists}
        made |= lists | {f"{task}/images/train800/000000.jpg": hashlib.shake_256(task.encode()).digest(2_000)}
    return made


def packed(members: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in (files() if members is None else members).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def large() -> dict[str, bytes]:
    """Return more than one chunk of files, so that a cut download leaves a chunk behind."""
    return files() | {"dtd/images/test/000000.jpg": random.Random(0).randbytes(CHUNK + 2**20)}


@dataclass(kw_only=True)
class Hub:
    """A server of one file, and how it answers."""

    content: bytes
    path: str
    plain_etag: bool = False  # the ETag of a small file is no SHA-256
    storage: bool = False  # redirect to another host, as the hub does for large files
    ranges: bool = True
    status: int = 200  # any other status replaces every answer
    cut: int = 0  # number of bytes after which the next body ends
    status_after_cut: int = 200
    damage: bytes = b""  # replaces the first bytes of the body
    log: list[str] = field(default_factory=list)  # "METHOD path range"

    def __enter__(self) -> Hub:
        handler = type("Answer", (_Answer,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object):
        self._server.shutdown()  # waits until the thread has left its loop
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def etag(self) -> str:
        return hashlib.md5(self.content).hexdigest() if self.plain_etag else hashlib.sha256(self.content).hexdigest()

    def gets(self) -> list[str]:
        """Return the range of every GET of the file itself."""
        where = "/storage" if self.storage else self.path
        return [line.split(" ", 2)[2] for line in self.log if line.startswith(f"GET {where.format(commit=COMMIT)} ")]


class _Answer(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any):
        pass

    def do_GET(self):
        hub, wanted = self.hub, self.headers.get("Range", "")
        hub.log.append(f"{self.command} {self.path} {wanted}")
        known = {hub.path.format(commit=revision) for revision in ("main", COMMIT)}
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if hub.status != 200 or self.path not in known | {"/storage"}:
            self._send(404 if hub.status == 200 else hub.status, headers, b"")
        elif hub.storage and self.path != "/storage":
            linked = {"X-Linked-Etag": f'"{hub.etag}"', "X-Linked-Size": str(len(hub.content))}
            headers |= linked | {"Location": hub.url.replace("127.0.0.1", "localhost") + "/storage"}
            self._send(302, headers, b"")
        else:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and hub.ranges else 0  # type: ignore[index]
            size = len(hub.content)
            ranged = {"Content-Range": f"bytes {start}-{size - 1}/{size}"} if start else {}
            body = hub.damage[start:] + hub.content[max(start, len(hub.damage)) :]
            self._send(206 if start else 200, headers | ranged | {"ETag": f'"{hub.etag}"'}, body)

    do_HEAD = do_GET  # ``_send`` leaves the body out

    def _send(self, status: int, headers: dict[str, str], body: bytes):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if body and self.hub.cut:
            body = body[: self.hub.cut]
            self.hub.cut, self.hub.status, self.close_connection = 0, self.hub.status_after_cut, True
        self.wfile.write(body)
