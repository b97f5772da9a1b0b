"""A hub on loopback with the library's token and cache for it, and small models to share."""

from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import pytest

from benchmarks.hub import contents
from benchmarks.records import store
from benchmarks.records.spec import Spec
from tests.support.made_records import result
from tests.support.repositories import TOKEN, ModelHub, Repository
from tests.training.test_export import saved


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    """A hub without repositories. The library has a token for it, an empty cache, and no other place to store to."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with ModelHub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)  # for timm, which names no endpoint
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield server


def made(folder: Path, method: str = "lora", task: str = "digits", accuracy: float = 0.9, **asked: object) -> Spec:
    """Write the task file of a model with random weights, and a made-up record; the spec of the run."""
    _, _, spec = saved(folder, method, task, **asked)
    store.write(folder, result(spec, accuracy))
    return spec


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Spec]:
    """Put a run below ``own``, as ``made`` does."""
    return lambda *about, **asked: made(tmp_path / "own", *about, **asked)


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Spec, dict[str, bytes]]]:
    """By method, a run and the files of its repository, which are written once."""
    found = {}
    for method in ("lora", "adapterx"):
        folder = tmp_path_factory.mktemp(method)
        spec = made(folder, method)
        contents.write(folder, spec.key, "me/photos", folder / "files", None)
        found[method] = spec, {file.name: file.read_bytes() for file in (folder / "files").iterdir()}
    return found


@pytest.fixture
def shared(packed, hub: ModelHub) -> Callable[[str], Spec]:
    """Put a run of a method into the repository me/photos of the hub; the spec of the run."""

    def put(method: str) -> Spec:
        spec, files = packed[method]
        hub.repositories["me/photos"] = Repository()
        hub.repositories["me/photos"].commit("main", dict(files))
        return spec

    return put


@pytest.fixture
def written(packed, monkeypatch: pytest.MonkeyPatch) -> dict[str, Spec]:
    """Runs that ``push`` finds by their methods in any folder, without the work to write their files."""

    def write(results: Path, run: str, repository: str, folder: Path, revision: str | None) -> Spec:
        spec, files = packed[run]
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return spec

    monkeypatch.setattr(contents, "write", write)
    monkeypatch.setattr(store, "task_file", lambda results, run: Path(run))
    return {method: spec for method, (spec, _) in packed.items()}
