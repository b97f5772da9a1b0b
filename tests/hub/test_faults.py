"""Every fault on the way to a hub and back is one line, and nothing that cannot be trusted is kept."""

import json
from functools import partial

import pytest

from benchmarks import pull, push
from benchmarks.hub import names
from benchmarks.records import store
from tests.hub.test_push_and_pull import RUN
from tests.support.repositories import Repository

HELD = {".gitattributes", *RUN}


def test_branches_are_made_and_kept_apart(written, hub, tmp_path):
    first, other = written.values()
    assert push.main(["lora", "me/photos", "--private"]) == 0
    assert push.main(["adapterx", "me/photos", "--private", "--revision", "tried"]) == 0
    repository = hub.repositories["me/photos"]
    assert repository.private
    assert (repository.files().keys(), repository.files("tried").keys()) == (HELD | {names.PLAIN}, HELD)
    for spec, more in ((first, ()), (other, ("--revision", "tried"))):
        assert pull.main(["me/photos", "--results", str(tmp_path / spec.method), *more]) == 0
        assert store.adapter_path(tmp_path / spec.method, spec).is_file()


def test_another_run_is_committed_over_only_if_asked(written, hub, complaint, capsys):
    for _ in range(2):  # the second time there is nothing new
        assert push.main(["lora", "me/photos"]) == 0
    told = partial(complaint, push.main, "adapterx", "me/photos")
    capsys.readouterr()
    line = told()
    assert line.startswith(f"{hub.url}/me/photos holds another run, {written['lora'].key}; give another name, or --")
    assert push.main(["adapterx", "me/photos", "--replace"]) == 0
    assert hub.repositories["me/photos"].files().keys() == HELD  # the checkpoint of the first run is gone
    hub.repositories["me/photos"].commit("main", {"weights.bin": b"1"})
    capsys.readouterr()
    assert told().startswith(f"{hub.url}/me/photos holds something that push did not write; give another name")


def test_a_public_repository_is_not_taken_for_a_private_one(written, hub, complaint):
    hub.repositories["me/photos"] = Repository()
    line = complaint(push.main, "lora", "me/photos", "--private")
    assert line == f"{hub.url}/me/photos is public already; make it private on its page, or leave --private out"


def test_a_dry_run_writes_the_files_and_asks_nobody(written, hub, tmp_path):
    (tmp_path / "files").mkdir()
    assert push.main(["lora", "me/photos", "--dry-run", str(tmp_path / "files")]) == 0
    assert ({file.name for file in (tmp_path / "files").iterdir()}, hub.log) == (RUN | {names.PLAIN}, [])


@pytest.mark.parametrize(
    ("to", "change", "line"),
    [
        ("photos", {}, "'photos' is no repository of the hub: give OWNER/NAME, such as me/my-photos"),
        ("me/photos", {"HF_TOKEN": ""}, "there is no token of the hub at {url}: log in with 'hf auth login', or set"),
        ("you/photos", {}, "the hub refuses to let this token write to you/photos (HTTP 403); use one with write acc"),
        ("me/photos", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot download http://127.0.0.1:9/me/photos ("),
    ],
    ids=["no name", "no token", "another owner", "no connection"],
)
def test_what_keeps_a_run_from_a_hub_is_one_line(to, change, line, written, hub, complaint, tmp_path, monkeypatch):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert complaint(push.main, "lora", to).startswith(line.format(url=hub.url))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda hub, files: hub.repositories.clear(), "there is no {url}/me/photos (HTTP 404)"),
        (lambda hub, files: setattr(hub, "status", 503), "{url}/me/photos answers HTTP 503: run the command again"),
        (lambda hub, files: files.pop(names.RECORD), "me/photos was not written by push: it has no record.json"),
        (lambda hub, files: files.update({names.TASK: b"x"}), "task.safetensors has the SHA-256 2d711642b726..., and"),
        (lambda hub, files: files.update({names.MANIFEST: b"{}"}), "peft_bench.json is no list of digests of this"),
        (lambda hub, files: files.update({names.MANIFEST: b"x" * 70_000}), "peft_bench.json has more than 65536 bytes"),
    ],
    ids=["no repository", "a broken hub", "no record", "another task file", "no digests", "a long manifest"],
)
def test_what_cannot_be_trusted_is_not_pulled(change, line, shared, hub, tmp_path, complaint):
    shared("adapterx")
    change(hub, hub.repositories["me/photos"].files())
    assert complaint(pull.main, "me/photos", "--results", str(tmp_path / "got")).startswith(line.format(url=hub.url))
    assert not (tmp_path / "got").exists()


def test_files_of_two_runs_are_refused(shared, packed, hub, tmp_path, complaint):
    spec, (other, foreign) = shared("adapterx"), packed["lora"]
    files = hub.repositories["me/photos"].files()
    files[names.RECORD] = foreign[names.RECORD]
    digests = json.loads(files[names.MANIFEST])
    digests["sha256"][names.RECORD] = json.loads(foreign[names.MANIFEST])["sha256"][names.RECORD]
    files[names.MANIFEST] = json.dumps(digests).encode()
    line = complaint(pull.main, "me/photos", "--results", str(tmp_path / "got"))
    assert line == f"record.json is of the run {other.key}, and task.safetensors of {spec.key}"


def test_a_record_that_is_there_already_is_kept(shared, tmp_path, complaint):
    path = store.record_path(tmp_path / "own", shared("adapterx"))
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    line = complaint(pull.main, "me/photos", "--results", str(tmp_path / "own"))
    assert line == f"{path} is another record of this run, and records are not replaced; give another --results"
    assert path.read_text() == "mine"


def test_a_run_without_a_record_is_not_shared(run, tmp_path, complaint, hub):
    spec = run("linear")
    path = store.adapter_path(tmp_path / "own", spec)
    store.record_path(tmp_path / "own", spec).unlink()
    line = complaint(push.main, str(path), "me/photos", "--results", str(tmp_path / "own"))
    assert line.endswith("is missing, and a shared model has its numbers from there; name its --results DIR")
