"""The way to a repository of the hub and back, with every fault of the way as one line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.backbones.hub import SECONDS
from benchmarks.files.download import explained
from benchmarks.files.writing import read_text
from benchmarks.hub import contents, names
from methods.errors import UserError, check

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelInfo

REFUSED = (401, 403)


def check_token() -> None:
    """Refuse to write to the hub without a token.

    Raises:
        UserError: there is none.
    """
    from huggingface_hub import get_token

    login = "log in with 'hf auth login', or set HF_TOKEN to a token that may write"
    check(get_token() is not None, f"there is no token of the hub at {_api().endpoint}: {login}")


def push(folder: Path, repository: str, run: str, *, private: bool, revision: str | None, replace: bool) -> str:
    """Make the repository if there is none, and commit the files of a folder. Returns the address of the commit.

    ``run`` is the key of the run. Files of an earlier run that the folder lacks are deleted in the same commit.

    Raises:
        UserError: there is no connection, the token may not write there, or the repository holds something
            else and ``replace`` is false.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    api = _api()
    known = _info(api, repository, None)
    if known is not None and private:
        public = (
            f"{_address(api, repository, None)} is public already; make it private on its page, or leave --private out"
        )
        check(bool(known.private), public)
    there = known if revision is None else _info(api, repository, revision)
    if there is not None and not replace:
        _check_same(api, there, revision, run)
    with _writing(api, repository):
        if known is None:
            api.create_repo(repository, private=private, exist_ok=True)
        if there is None and revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)  # with the files of main
        held = _files(_info(api, repository, revision))
        operations: list[CommitOperationAdd | CommitOperationDelete] = [
            *(CommitOperationAdd(file.name, file) for file in sorted(folder.iterdir())),
            *(CommitOperationDelete(name) for name in names.FILES if name in held and not (folder / name).exists()),
        ]
        message = f"Run {run} of PEFT Vision Bench"
        return str(api.create_commit(repository, operations, commit_message=message, revision=revision).commit_url)


def fetch(repository: str, revision: str | None, wanted: Sequence[str]) -> dict[str, Path]:
    """Files of one commit of a repository, by name; those that it lacks are left out.

    Raises:
        UserError: there is no connection, no such repository or revision, or no permission.
    """
    api = _api()
    with explained(_address(api, repository, revision)):
        found = api.model_info(repository, revision=revision, timeout=SECONDS)
        held = _files(found)
        return {
            name: Path(api.hf_hub_download(repository, name, revision=found.sha)) for name in wanted if name in held
        }


def _api() -> HfApi:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)  # the library reads it only at its import


def _address(api: HfApi, repository: str, revision: str | None) -> str:
    return f"{api.endpoint}/{repository}" + (f"/tree/{revision}" if revision else "")


def _info(api: HfApi, repository: str, revision: str | None) -> ModelInfo | None:
    """What the hub knows of a repository at a revision; None if there is no such repository or revision yet."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    with explained(_address(api, repository, revision)):
        try:
            return api.model_info(repository, revision=revision, timeout=SECONDS)
        except (RepositoryNotFoundError, RevisionNotFoundError):
            return None


def _files(info: ModelInfo | None) -> set[str]:
    return {file.rfilename for file in (info and info.siblings) or ()}


def _check_same(api: HfApi, info: ModelInfo, revision: str | None, run: str) -> None:
    """Refuse to commit over something else than an earlier push of this run."""
    if not _files(info) - {".gitattributes"}:
        return
    address = _address(api, info.id, revision)
    cure = "give another name, or --replace to commit over it (the hub keeps what was there)"
    known = fetch(info.id, revision, [names.MANIFEST])
    check(bool(known), f"{address} holds something that push did not write; {cure}")
    there = contents.manifest(read_text(known[names.MANIFEST]))["run"]
    check(there == run, f"{address} holds another run, {there}; {cure}")


@contextmanager
def _writing(api: HfApi, repository: str) -> Iterator[None]:
    """Say what a refusal of the hub means where something is written."""
    from huggingface_hub.errors import HfHubHTTPError

    with explained(f"{api.endpoint}/{repository}"):
        try:
            yield
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status not in REFUSED:
                raise
            cure = f"use one with write access to {repository.partition('/')[0]}: 'hf auth login', or HF_TOKEN"
            raise UserError(
                f"the hub refuses to let this token write to {repository} (HTTP {status}); {cure}"
            ) from error
