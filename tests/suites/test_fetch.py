"""Fetching VTAB-1K from a stand-in of the hub: downloads continue, damage is refused, no file lands elsewhere."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from benchmarks import data
from benchmarks.files import unpack
from benchmarks.files.root import DATA_ROOT
from tests.support.hub import CHUNK, PATH, Hub, files, large, packed


class Done(NamedTuple):
    status: int
    stdout: str
    stderr: str


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(content=packed(), path=PATH) as server:
        yield server


@pytest.fixture
def fetch(monkeypatch, capsys, tmp_path):
    """The command with a stand-in of the hub: its status, and what it prints."""

    def run(endpoint, root, *argv):
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
        monkeypatch.setenv(DATA_ROOT, str(root))  # puts back what the option sets
        status = data.main(["fetch", *(argv or ("vtab1k", "--data-root", str(root)))])
        return Done(status, *capsys.readouterr())

    return run


def complaint(done: Done) -> str:
    """The line on stderr of a command that failed."""
    assert (done.status, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


def unpacked(root: Path) -> dict[str, bytes]:
    folder = root / "vtab-1k"
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if name != unpack.SEAL}


def partial_of(hub: Hub, root: Path) -> Path:
    """The path of the partial file."""
    return root / f"vtab-1k.zip.{hashlib.sha256(hub.etag.encode()).hexdigest()[:8]}.partial"


@pytest.mark.parametrize("storage", [False, True])
def test_fetch_downloads_and_unpacks_an_archive(hub, storage, fetch, tmp_path):
    hub.storage, root = storage, tmp_path / "data"
    done = fetch(hub.url, root)
    assert (done.status, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"vtab1k: 3 folders in {root / 'vtab-1k'}: caltech101, cifar, dtd",
        f"next: check them: python -m benchmarks.data verify vtab1k --data-root {root}",
    ]
    assert unpacked(root) == files()
    assert (root / "vtab-1k.zip").read_bytes() == hub.content
    digest = hashlib.sha256(hub.content).hexdigest()
    assert (root / "vtab-1k.zip.sha256").read_text() == f"{digest}  vtab-1k.zip\n"
    kept = {"vtab-1k", "vtab-1k.zip", "vtab-1k.zip.sha256", "vtab-1k.zip.lock"}
    assert {path.name for path in root.iterdir()} == kept
    assert hub.gets() == [""]


def test_repeated_fetch_asks_for_nothing(hub, fetch, tmp_path):
    first = fetch(hub.url, tmp_path)
    seen = list(hub.log)
    again = fetch(hub.url, tmp_path)
    assert (again.status, again.stdout) == (0, first.stdout)
    assert hub.log == seen
    (tmp_path / "vtab-1k.zip").unlink()  # to save space
    assert fetch(hub.url, tmp_path).stdout == first.stdout
    assert hub.log == seen


@pytest.mark.parametrize("storage", [False, True])
def test_cut_connection_is_continued_in_the_same_command(hub, storage, fetch, tmp_path):
    hub.content, hub.storage, hub.cut = packed(large()), storage, CHUNK + 2**19
    assert fetch(hub.url, tmp_path).status == 0
    assert hub.gets() == ["", f"bytes={CHUNK}-"]
    assert unpacked(tmp_path) == large()


def test_bytes_before_a_failure_of_the_server_are_kept(hub, fetch, tmp_path):
    hub.content, hub.cut, hub.status_after_cut = packed(large()), CHUNK + 2**19, 503
    line = complaint(fetch(hub.url, tmp_path))
    assert "HTTP 503" in line and "10 of 12 MB are kept and the rest is asked for next time" in line
    (partial,) = tmp_path.glob("*.partial")
    assert partial.read_bytes() == hub.content[:CHUNK]
    hub.status = 200
    hub.log.clear()
    assert fetch(hub.url, tmp_path).status == 0
    assert hub.gets() == [f"bytes={CHUNK}-"]
    assert unpacked(tmp_path) == large()


def test_only_a_partial_file_of_the_same_version_is_continued(hub, fetch, tmp_path):
    partial = partial_of(hub, tmp_path)
    outdated = tmp_path / "vtab-1k.zip.00000000.partial"  # of a former version at the source
    partial.write_bytes(hub.content[:4_000])
    outdated.write_bytes(b"old")
    assert fetch(hub.url, tmp_path).status == 0
    assert hub.gets() == ["bytes=4000-"]
    assert unpacked(tmp_path) == files()
    assert not partial.exists() and not outdated.exists()


def test_server_without_ranges_is_asked_for_everything_again(hub, fetch, tmp_path):
    hub.ranges = False
    partial_of(hub, tmp_path).write_bytes(hub.content[:4_000])
    assert fetch(hub.url, tmp_path).status == 0
    assert hub.gets()[0] == "bytes=4000-"
    assert unpacked(tmp_path) == files()


def test_damage_on_the_way_is_refused_and_not_kept(hub, fetch, tmp_path):
    hub.damage = b"X"
    line = complaint(fetch(hub.url, tmp_path))
    assert f"not {hub.etag} as the hub says" in line
    assert {path.name for path in tmp_path.iterdir()} <= {"vtab-1k.zip.lock"}


@pytest.mark.parametrize("plain_etag", [False, True])
def test_a_file_that_changed_since_the_first_download_is_refused(hub, plain_etag, fetch, tmp_path):
    hub.plain_etag = plain_etag
    assert fetch(hub.url, tmp_path).status == 0
    recorded = hashlib.sha256(hub.content).hexdigest()
    (tmp_path / "vtab-1k.zip").unlink()
    (tmp_path / "vtab-1k").rename(tmp_path / "away")
    hub.content = packed(files() | {"cifar/test.txt": b"images/test/000001.jpg 1\n"})
    hub.log.clear()
    line = complaint(fetch(hub.url, tmp_path))
    assert f"has sha256 {hashlib.sha256(hub.content).hexdigest()}, not {recorded}" in line
    assert "changed at its source" in line and "delete that record" in line
    assert len(hub.gets()) == plain_etag  # where the hub names the digest, nothing is downloaded
    assert not (tmp_path / "vtab-1k").exists()
    (tmp_path / "vtab-1k.zip.sha256").unlink()  # what the line says
    assert fetch(hub.url, tmp_path).status == 0
    assert unpacked(tmp_path)["cifar/test.txt"] == b"images/test/000001.jpg 1\n"


def test_a_file_damaged_on_disk_is_refused(hub, fetch, tmp_path):
    (tmp_path / "vtab-1k.zip").write_bytes(hub.content[:-1] + b"X")
    digest = hashlib.sha256(hub.content).hexdigest()
    (tmp_path / "vtab-1k.zip.sha256").write_text(f"{digest}  vtab-1k.zip\n")
    assert f"not {digest}" in complaint(fetch(hub.url, tmp_path))
    assert not (tmp_path / "vtab-1k").exists() and hub.log == []


def test_truncated_zip_is_refused_and_not_recorded(hub, fetch, tmp_path):
    hub.content = hub.content[:-50]
    assert "is not a whole zip file" in complaint(fetch(hub.url, tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"vtab-1k.zip", "vtab-1k.zip.lock"}


def test_file_put_there_by_hand_needs_no_server(fetch, tmp_path):
    (tmp_path / "vtab-1k.zip").write_bytes(packed())
    assert fetch("http://127.0.0.1:9", tmp_path).status == 0
    assert unpacked(tmp_path) == files()


def test_folder_that_was_not_fetched_is_left_alone(hub, fetch, tmp_path):
    (tmp_path / "vtab-1k").mkdir()
    (tmp_path / "vtab-1k" / "mine.txt").write_text("mine")
    assert "verify vtab1k" in complaint(fetch(hub.url, tmp_path))
    assert unpacked(tmp_path) == {"mine.txt": b"mine"} and hub.log == []


def test_second_command_at_the_same_time_is_refused(hub, fetch, tmp_path):
    with FileLock(tmp_path / "vtab-1k.zip.lock"):
        assert "another command fetches" in complaint(fetch(hub.url, tmp_path))
    assert hub.log == []


@pytest.mark.parametrize(
    ("status", "part"),
    [(404, "there is no http://127"), (401, "no permission"), (503, "HTTP 503"), (0, "cannot download http://127")],
)
def test_a_refusal_of_the_hub_is_one_line_with_a_way_out(hub, status, part, fetch, tmp_path):
    hub.status = status
    line = complaint(fetch(hub.url if status else "http://127.0.0.1:9", tmp_path))
    assert part in line and "HF_ENDPOINT" in line and f"put it at {tmp_path / 'vtab-1k.zip'}" in line


@pytest.mark.parametrize(
    ("suite", "part"),
    [
        ("scanobjectnn", "https://hkust-vgd.github.io/scanobjectnn/"),
        ("modelnet40", "modelnet40_ply_hdf5_2048"),
        ("folder", "nothing is fetched"),
        ("vtab", "did you mean 'vtab1k'"),
    ],
)
def test_other_suites_say_where_a_person_gets_their_files(suite, part, fetch, tmp_path):
    assert part in complaint(fetch("http://127.0.0.1:9", tmp_path, suite))


def test_offline_needs_nothing(fetch, tmp_path):
    done = fetch("http://127.0.0.1:9", tmp_path, "offline")
    assert (done.status, done.stdout.count("\n")) == (0, 1)
