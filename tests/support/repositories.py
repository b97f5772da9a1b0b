"""A stand-in for the Hugging Face hub on loopback that keeps repositories of models: made, committed to, and read.

It answers as the hub does to huggingface_hub and timm: create, info, branch, preupload, LFS, commit and resolve.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_writes"
OWNER = "me"
Files = dict[str, bytes]


@dataclass
class Repository:
    private: bool = False
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    commits: dict[str, Files] = field(default_factory=lambda: {"0" * 40: {".gitattributes": b""}})

    def files(self, revision: str = "main") -> Files:
        return self.commits[self.branches.get(revision, revision)]

    def commit(self, branch: str, files: Files) -> str:
        oid = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[oid], self.branches[branch] = files, oid
        return oid


@dataclass(kw_only=True)
class ModelHub:
    """The server. ``repositories`` are by OWNER/NAME; only TOKEN may write, and only to repositories of OWNER."""

    large: tuple[str, ...] = (".safetensors",)  # files with these endings go through LFS
    status: int = 200  # any other status replaces every answer
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: Files = field(default_factory=dict)  # LFS objects by SHA-256
    log: list[str] = field(default_factory=list)  # "METHOD path"

    def __enter__(self) -> ModelHub:
        handler = type("Answer", (_Answer,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object):
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"


class Refused(Exception):
    """An answer that is none: its status, the hub's code of the error, and further fields."""


class _Answer(BaseHTTPRequestHandler):
    hub: ClassVar[ModelHub]
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any):
        pass

    def do_GET(self):
        self._answered(self._read)

    def do_POST(self):
        self._answered(self._write)

    def do_PUT(self):
        self._answered(self._store)

    do_HEAD = do_GET

    def _answered(self, answer: Callable[[str, bytes], Any]):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.hub.log.append(f"{self.command} {path}")
        headers: dict[str, str] = {}
        try:
            if self.hub.status != 200:
                raise Refused(self.hub.status, "")
            found = answer(path, body)
            status, content = 200, found
            if isinstance(found, tuple):
                headers, content = found
        except Refused as error:
            status, code, *more = error.args
            headers, content = {"X-Error-Code": code} if code else {}, {"error": code} | dict(*more)
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    @property
    def _may_write(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _repository(self, name: str) -> Repository:
        found = self.hub.repositories.get(name)
        if found is None or (found.private and not self._may_write):
            raise Refused(404 if self._may_write else 401, "RepoNotFound")
        return found

    def _files(self, name: str, revision: str) -> tuple[str, Files]:
        repository = self._repository(name)
        oid = repository.branches.get(revision, revision)
        if oid not in repository.commits:
            raise Refused(404, "RevisionNotFound")
        return oid, repository.commits[oid]

    def _read(self, path: str, body: bytes) -> Any:
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            oid, files = self._files(name, revision or "main")
            private = self.hub.repositories[name].private
            siblings = [{"rfilename": file} for file in sorted(files)]
            return {"id": name, "sha": oid, "private": private, "siblings": siblings, "downloads": 0, "tags": []}
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        oid, files = self._files(name, revision)
        if file not in files:
            raise Refused(404, "EntryNotFound")
        return {"X-Repo-Commit": oid, "ETag": f'"{hashlib.sha256(files[file]).hexdigest()}"'}, files[file]

    def _write(self, path: str, body: bytes) -> Any:
        if path == "/api/validate-yaml":
            yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            return {"errors": [], "warnings": []}
        if not self._may_write:
            raise Refused(401, "")
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.endswith(".git/info/lfs/objects/batch"):
            upload = {"upload": {"href": f"{self.hub.url}/lfs/"}}
            wanted = json.loads(body)["objects"]
            href = upload["upload"]["href"]
            return {"objects": [{**one, "actions": {"upload": {"href": href + one["oid"]}}} for one in wanted]}
        owner, repository, verb, revision = path.removeprefix("/api/models/").split("/", 3)
        return getattr(self, f"_{verb}")(f"{owner}/{repository}", revision, body)

    def _create(self, asked: dict[str, Any]) -> Any:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] != OWNER:
            raise Refused(403, "")
        if name in self.hub.repositories:
            raise Refused(409, "", {"url": f"{self.hub.url}/{name}"})
        self.hub.repositories[name] = Repository(private=asked.get("visibility") == "private" or asked.get("private"))
        return {"url": f"{self.hub.url}/{name}"}

    def _branch(self, name: str, branch: str, body: bytes) -> Any:
        repository = self._repository(name)
        repository.branches.setdefault(branch, repository.branches["main"])
        return {}

    def _preupload(self, name: str, revision: str, body: bytes) -> Any:
        self._files(name, revision)
        mode = {True: "lfs", False: "regular"}
        paths = [one["path"] for one in json.loads(body)["files"]]
        files = [
            {"path": path, "uploadMode": mode[path.endswith(self.hub.large)], "shouldIgnore": False} for path in paths
        ]
        return {"files": files}

    def _store(self, path: str, body: bytes) -> Any:
        assert hashlib.sha256(body).hexdigest() == path.removeprefix("/lfs/")
        self.hub.stored[path.removeprefix("/lfs/")] = body
        return {}

    def _commit(self, name: str, branch: str, body: bytes) -> Any:
        if name.partition("/")[0] != OWNER:
            raise Refused(403, "")
        _, files = self._files(name, branch)
        files = dict(files)
        for line in map(json.loads, body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        oid = self.hub.repositories[name].commit(branch, files)
        return {"commitUrl": f"{self.hub.url}/{name}/commit/{oid}", "commitOid": oid}
