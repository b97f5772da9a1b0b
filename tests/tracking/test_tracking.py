"""MLflow copies the records, in the default database and on a real server that dies, and never delays a run."""

import json
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from pytest import MonkeyPatch, TempPathFactory

from benchmarks import run, tune
from benchmarks.cli import masked
from benchmarks.executors import attempt as attempts
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.tracking import __main__ as command
from benchmarks.tracking import fields
from benchmarks.tracking.address import address
from benchmarks.tracking.experiment import check_not_deleted
from benchmarks.tracking.mirror import Mirror
from benchmarks.tracking.sink import Sink
from benchmarks.tracking.sync import sync
from methods.errors import UserError
from tests.support.edited import edit
from tests.support.mlflow_server import Server, client, mirrored, recorded, runs, until

RECIPE = {"epochs": 2, "warmup_epochs": 0}
QUICK = ["--workers", "1", "--tasks", "digits", "--recipe", *(f"{name}={value}" for name, value in RECIPE.items())]
BROKEN = ["--methods", "linear", "full", *QUICK, "clip_grad=0", "--set", "full.lr=1e30"]
Default, Record = tuple[Path, str], dict[str, Any]
ROW = {"epoch": 1, "train_loss": 2.5, "lr": 0.1}


def artifacts(folder: Path, run_id: str) -> set[str]:
    """Return the files of a run in the artifact folder beside a database."""
    root = folder / "mlartifacts" / "offline" / run_id / "artifacts"
    return {str(path.relative_to(root)) for path in root.rglob("*.*")}


def copy_record(spec: Spec, source: Path, results: Path):
    store.record_path(results, spec).parent.mkdir(parents=True)
    shutil.copy(store.record_path(source, spec), store.record_path(results, spec))


@pytest.fixture(scope="module")
def default(tmp_path_factory: TempPathFactory) -> Default:
    """A folder where one run finished and one failed, without ``--tracking``; the URI of its database."""
    folder = tmp_path_factory.mktemp("default")
    with MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI")
        patch.chdir(folder)
        assert run.main(BROKEN) == 1
    return folder, f"sqlite:///{folder}/mlflow.db"


@pytest.fixture(scope="module")
def done(default: Default) -> Record:
    """The record of the run that finished in the default folder."""
    return store.records(default[0] / "results")[0]


@pytest.fixture(scope="module")
def server(default: Default, tmp_path_factory: TempPathFactory) -> Iterator[Server]:
    """A server on a copy of an existing database, because creating one takes seconds."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(default[0] / "mlflow.db", folder)
    made = Server(folder)
    made.start()
    yield made
    made.kill()


def test_by_default_runs_are_tracked_in_a_database_in_the_current_folder(default, done):
    folder, uri = default
    assert mirrored(uri, folder / "results") == recorded(folder / "results")
    found = {r.data.tags.get("method", "sweep"): r for r in runs(uri, folder / "results")}
    statuses = {name: r.info.status for name, r in found.items()}
    assert statuses == {"sweep": "FINISHED", "linear": "FINISHED", "full": "FAILED"}
    assert "loss was nan" in found["full"].data.tags["reason"]
    parent, child = found["sweep"].info.run_id, found["linear"]
    assert {found[name].data.tags[fields.PARENT] for name in ("linear", "full")} == {parent}
    tags = {name: child.data.tags[name] for name in ("method", "task", "suite", "backbone", "commit")}
    wanted = {"method": "linear", "task": "digits", "suite": "offline", "backbone": "vit_nano"}
    assert tags == wanted | {"commit": done["environment"]["commit"]}
    (data,) = (one.dataset for one in child.inputs.dataset_inputs)
    fingerprint = done["spec"]["data_fingerprint"]
    assert (data.name, data.digest) == ("offline/digits", fingerprint[:36])
    assert json.loads(data.source)["sha256"] == fingerprint
    named = {f"accuracy/test{part}": done["accuracy"]["test"] for part in ("", "/linear", "/linear/digits")}
    assert found["sweep"].data.metrics == named
    stem = f"linear-s0-{done['key']}"
    assert artifacts(folder, child.info.run_id) == {f"{stem}.json", f"{stem}.safetensors", "training.png"}
    tables = {"costs.csv", *(f"leaderboard.{ending}" for ending in ("csv", "html", "md", "tex"))}
    assert artifacts(folder, parent) == tables | {f"figures/pareto.{ending}" for ending in ("pdf", "png", "svg")}


def test_nothing_to_upload_starts_no_process(default, tmp_path, monkeypatch, specs):
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: pytest.fail("a process was started"))
    argv = ["--methods", "linear", *QUICK, "clip_grad=0", "--results", str(default[0] / "results")]
    assert run.main([*argv, "--tracking", default[1]]) == 0
    assert run.main([*argv, "--tracking", default[1], "--seeds", "7", "--dry-run"]) == 0
    (linear,) = specs("linear")
    with Sink(address("off"), tmp_path, [linear], warn=pytest.fail) as sink:
        sink.epoch(linear, ROW)
        sink.end(linear)
    assert sink.uploaded == 0


@pytest.mark.slow
def test_after_one_warning_about_a_killed_server_sync_uploads_the_rest_once(
    server, tmp_path, monkeypatch, capsys, specs
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    methods, plain = ("linear", "bitfit", "norm"), attempts.attempt
    first, second, third = specs(*methods, recipe=RECIPE)

    def reached() -> bool:
        return any(r.data.tags.get(fields.KEY) == second.key and r.data.metrics for r in runs(server.uri, tmp_path))

    def attempt(spec: Spec, results: Path, device: Any, on_epoch: Callable[[Any], None], *, again: bool) -> Any:
        def kill(epoch: Any):
            on_epoch(epoch)
            if spec == second and epoch["epoch"] == 1:
                until(reached)
                server.kill()

        return plain(spec, results, device, kill, again=again)

    monkeypatch.setattr(attempts, "attempt", attempt)
    server.wait()
    assert run.main(["--methods", *methods, *QUICK, "--results", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "3 runs: 3 trained, 0 already finished, 0 failed" in out
    (warning,) = (line for line in err.splitlines() if line.startswith("warning:"))
    assert "(Connection" in warning or "(RemoteDisconnected" in warning
    assert f"`python -m benchmarks.tracking sync --results {tmp_path} --tracking {server.uri}`" in warning
    assert {r["key"]: len(r["history"]) for r in store.records(tmp_path)} == {s.key: 2 for s in (first, second, third)}

    again = ["sync", "--results", str(tmp_path)]
    assert command.main(again) == 2  # nobody answers yet
    assert capsys.readouterr().err.startswith(f"error: MLflow at {server.uri} failed: ConnectionRefusedError")
    server.start()
    server.wait()
    statuses = {r.data.tags.get(fields.KEY): r.info.status for r in runs(server.uri, tmp_path)}
    assert statuses == {None: "RUNNING", first.key: "FINISHED", second.key: "RUNNING"}  # the third is not there
    for said in ("2 runs uploaded, 1 already there", "0 runs uploaded, 3 already there"):
        assert command.main(again) == 0
        assert said in capsys.readouterr().out
    assert mirrored(server.uri, tmp_path) == recorded(tmp_path)
    found = {r.data.tags.get(fields.KEY): r for r in runs(server.uri, tmp_path)}
    assert len(runs(server.uri, tmp_path)) == len(found) == 4
    parent = found.pop(None).info
    assert parent.status == "FINISHED"
    assert {r.data.tags[fields.PARENT] for r in found.values()} == {parent.run_id}
    (path,) = (tmp_path / store.RUNS).rglob("norm-*.json")
    copied = client(server.uri).download_artifacts(found[third.key].info.run_id, path.name)
    assert Path(copied).read_bytes() == path.read_bytes()
    tested = {r["spec"]["method"]: r["accuracy"]["test"] for r in store.records(tmp_path)}
    named = {f"accuracy/test/{method}": value for method, value in tested.items()}
    metrics = client(server.uri).get_run(parent.run_id).data.metrics
    assert metrics == named | {f"{name}/digits": value for name, value in named.items()}
    assert "leaderboard.md" in {file.path for file in client(server.uri).list_artifacts(parent.run_id)}


def test_sync_uploads_records_of_others_once_with_their_training_time(default, tmp_path, root, capsys):
    place = Path(store.RUNS, "offline", "count")
    (tmp_path / place).mkdir(parents=True)
    for path in (root / "results" / place).glob("lora-*.json"):
        shutil.copy(path, tmp_path / place)
    copied = len(list((tmp_path / place).iterdir()))
    escaping = tmp_path / place / "escaping.json"
    shutil.copy(path, escaping)
    edit(escaping, lambda record: record["spec"].update(suite="../../../escaped"))
    for uploaded in (copied, 0):
        assert sync(default[1], tmp_path) == (uploaded, copied - uploaded)
    assert mirrored(default[1], tmp_path) == recorded(tmp_path)
    for one in (r for r in runs(default[1], tmp_path) if fields.KEY in r.data.tags):
        seconds = one.data.metrics["cost/train_seconds"]
        assert (one.info.end_time - one.info.start_time) / 1000 == pytest.approx(seconds, abs=0.01)
    assert f"warning: record {escaping}: suite '../../../escaped' is no name" in capsys.readouterr().err
    assert not list(default[0].parent.glob("**/*escaped*"))


@pytest.mark.slow
def test_trials_of_tuning_are_runs_nested_in_that_of_their_study(server, tmp_path, monkeypatch, capsys):
    server.wait()
    argv = ["--methods", "linear", *QUICK, "--results", str(tmp_path), "--tracking", server.uri]
    for trials, said in ((3, "3 trials uploaded"), (4, "1 trials uploaded"), (4, "0 trials uploaded")):
        assert tune.main([*argv, "--trials", str(trials)]) == 0
        assert f"{said}: {server.uri}" in capsys.readouterr().out
    mlflow = client(server.uri)
    found = mlflow.search_runs([mlflow.get_experiment_by_name("offline tuning").experiment_id])
    (parent,) = (one for one in found if fields.SLOT not in one.data.tags)
    children = {int(one.data.tags[fields.SLOT]): one for one in found if one is not parent}
    assert {one.data.tags[fields.PARENT] for one in children.values()} == {parent.info.run_id}
    assert {one.info.status for one in found} == {"FINISHED"}
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 'tuning.db'}")
    assert study.metric_names == ["val_accuracy"]
    values = {trial.user_attrs["slot"]: trial.value for trial in study.trials}
    assert {slot: one.data.metrics.get("accuracy/val") for slot, one in children.items()} == values
    rates = {trial.user_attrs["slot"]: str(trial.user_attrs["config"]["lr"]) for trial in study.trials}
    assert {slot: one.data.params["config.lr"] for slot, one in children.items()} == rates
    assert [(point.step) for point in mlflow.get_metric_history(children[0].info.run_id, "val_accuracy")] == [1, 2]
    best = {"accuracy/val": study.best_value, "accuracy/val/default": values[0], "trials": 4.0}
    assert parent.data.metrics == best
    (data,) = (one.dataset for one in children[0].inputs.dataset_inputs)
    assert data.name == "offline/digits"


@pytest.mark.slow
def test_a_server_that_never_answers_delays_no_epoch_and_is_given_up(tmp_path, monkeypatch, specs):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    warnings: list[str] = []
    (spec,) = specs("linear")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        uri = f"http://me:secret@127.0.0.1:{deaf.getsockname()[1]}"
        with Sink(uri, tmp_path, [spec], warn=warnings.append) as sink:
            for epoch in range(2000):  # more than a pipe holds
                sink.epoch(spec, ROW | {"epoch": epoch})
            assert warnings == []
    (warning,) = warnings
    assert "ReadTimeout" in warning or "TimeoutError" in warning
    assert "secret" not in warning


@pytest.mark.slow
def test_a_killed_run_is_replaced_by_the_next_driver(default, done, tmp_path):
    spec = Spec.from_json(done["spec"])
    with pytest.raises(KeyboardInterrupt), Sink(default[1], tmp_path, [spec], warn=pytest.fail) as sink:
        sink.epoch(spec, ROW)
        raise KeyboardInterrupt

    def statuses() -> set[str]:
        return {r.info.status for r in runs(default[1], tmp_path) if fields.KEY in r.data.tags}

    until(lambda: statuses() == {"KILLED"})
    with Sink(default[1], tmp_path, [spec], warn=pytest.fail) as sink:
        for row in done["history"]:
            sink.epoch(spec, row)
        copy_record(spec, default[0] / "results", tmp_path)
        sink.end(spec)
    assert sink.uploaded == 1
    assert mirrored(default[1], tmp_path) == recorded(tmp_path)
    assert statuses() == {"FINISHED"}


@pytest.mark.slow
def test_a_run_that_is_started_again_is_one_run_in_mlflow(default, done, tmp_path):
    spec, history = Spec.from_json(done["spec"]), done["history"]
    with Sink(default[1], tmp_path, [spec], warn=pytest.fail) as sink:
        for row in (history[0] | {"train_loss": 99.0}, history[0] | {"train_loss": 98.0}, history[1]):
            sink.epoch(spec, row)
        sink.epoch(spec, history[0])  # the second epoch is missing, as a cluster may skip it
        copy_record(spec, default[0] / "results", tmp_path)
        sink.end(spec)
    assert mirrored(default[1], tmp_path) == recorded(tmp_path)
    assert len([r for r in runs(default[1], tmp_path) if fields.KEY in r.data.tags]) == 1


@pytest.mark.parametrize(
    "uri", ["", "mlruns", "ftp://host", "http://", "http://host:many", "sqlite://", "sqlite:///no/such/folder/a.db"]
)
def test_an_impossible_address_is_one_line(uri, complaint):
    assert complaint(run.main, "--methods", "linear", *QUICK, "--tracking", uri).startswith("--tracking: ")


@pytest.fixture
def deleted(default: Default, tmp_path: Path) -> Iterator[str]:
    """The URI of a database whose experiment was deleted. At the end it is restored as the message says."""
    shutil.copy(default[0] / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    mlflow = client(uri)
    number = mlflow.get_experiment_by_name("offline").experiment_id
    mlflow.delete_experiment(number)
    yield uri
    with pytest.raises(
        UserError, match=rf"`MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {number}`"
    ):
        check_not_deleted(uri, "offline")
    mlflow.restore_experiment(number)
    check_not_deleted(uri, "offline")
    assert Mirror(uri, "offline", pytest.fail).experiment == number


def test_a_deleted_experiment_is_one_line_before_training(deleted, default, tmp_path, complaint):
    told = complaint(run.main, "--methods", "linear", *QUICK, "--results", str(tmp_path / "r"), "--tracking", deleted)
    assert told.startswith(f"experiment 'offline' was deleted in MLflow at {deleted}, so it takes no runs; restore it")
    assert not any((tmp_path / "r" / store.RUNS).iterdir())
    told = complaint(command.main, "sync", "--results", str(default[0] / "results"), "--tracking", deleted)
    assert told.startswith(f"experiment 'offline' was deleted in MLflow at {deleted}")


@pytest.mark.slow
def test_a_deleted_experiment_of_a_server_is_one_line(server):
    server.wait()
    mlflow = client(server.uri)
    check_not_deleted(server.uri, "offline")
    number = mlflow.get_experiment_by_name("offline").experiment_id
    mlflow.delete_experiment(number)
    with pytest.raises(UserError, match=rf"at {server.uri}, .* --experiment-id {number}`"):
        check_not_deleted(server.uri, "offline")
    mlflow.restore_experiment(number)
    check_not_deleted(server.uri, "offline")


def test_mlflow_that_cannot_be_asked_is_not_refused(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"nothing of use" * 1000)
    places = (f"sqlite:///{tmp_path}/none.db", f"sqlite:///{tmp_path}/mlflow.db", "postgresql://me@host/db")
    for uri in (*places, "http://127.0.0.1:9", "http://me:secret@127.0.0.1:9"):
        check_not_deleted(uri, "offline")
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.fixture
def without_files(default: Default, tmp_path: Path) -> str:
    """The URI of a database whose experiment keeps files where none can be written."""
    shutil.copy(default[0] / "mlflow.db", tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = 'file:///proc/nowhere' WHERE name = 'offline'")
    return uri


@pytest.mark.slow
def test_a_place_that_takes_no_files_stops_files_only(without_files, default, done, tmp_path):
    spec, warnings = Spec.from_json(done["spec"]), list[str]()
    with Sink(without_files, tmp_path, [spec], warn=warnings.append) as sink:
        for row in done["history"]:
            sink.epoch(spec, row)
        copy_record(spec, default[0] / "results", tmp_path)
        sink.end(spec)
    (warning,) = warnings
    assert warning.startswith("MLflow takes no files (FileNotFoundError: ") and "artifact location" in warning
    assert mirrored(without_files, tmp_path) == recorded(tmp_path)
    assert [r.info.status for r in runs(without_files, tmp_path)] == ["FINISHED"] * 2


@pytest.fixture
def others(root: Path, tmp_path: Path) -> Path:
    """A results folder with records that MLflow does not have."""
    place = Path(store.RUNS, "offline", "texture")
    (tmp_path / "others" / place).mkdir(parents=True)
    for path in (root / "results" / place).glob("norm-*.json"):
        shutil.copy(path, tmp_path / "others" / place)
    return tmp_path / "others"


def test_sync_without_files_uploads_runs_once_with_one_warning(without_files, others, capsys):
    copied = len(list(others.rglob("norm-*.json")))
    assert [sync(without_files, others) for _ in range(2)] == [(copied, 0), (0, copied)]
    err = capsys.readouterr().err
    assert err.count("warning: MLflow takes no files") == err.count("warning: ") == 1
    assert {r.info.status for r in runs(without_files, others)} == {"FINISHED"}


def test_a_sync_that_fails_leaves_no_run_running(default, others, monkeypatch):

    def log(*_: object):
        raise OSError("no answer")

    monkeypatch.setattr(Mirror, "log", log)
    with pytest.raises(UserError, match="OSError: no answer"):
        sync(default[1], others)
    assert [r.info.status for r in runs(default[1], others)] == ["KILLED"] * 2


def test_a_file_that_is_no_database_is_one_line(default, tmp_path, complaint):
    (tmp_path / "mlflow.db").write_bytes(b"nothing of use" * 1000)
    argv = ["sync", "--results", str(default[0] / "results"), "--tracking", f"sqlite:///{tmp_path}/mlflow.db"]
    assert "file is not a database; correct that and repeat the command" in complaint(command.main, *argv)


@pytest.mark.slow
def test_a_bug_in_the_uploader_is_one_warning_and_leaves_its_traceback(default, tmp_path, specs):
    warnings: list[str] = []
    (linear,) = specs("linear")
    with Sink(default[1], tmp_path, [linear], warn=warnings.append) as sink:
        sink.epoch(linear, {**ROW, "lr": "no number"})
    trace = tmp_path / store.UNFINISHED / "tracking-traceback.txt"
    (warning,) = warnings
    assert f"its traceback is in {trace}" in warning
    assert "fields.py" in trace.read_text()


def test_the_option_wins_over_the_environment_which_wins_over_the_default(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    asked = (None, "https://other/path", "off")
    assert [address(uri) for uri in asked] == ["http://host:5000", "https://other/path", None]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense")
    with pytest.raises(UserError, match=r"^MLFLOW_TRACKING_URI: .*'nonsense'"):
        address(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert address(None) == "sqlite:///mlflow.db"


def test_a_password_is_used_but_not_shown():
    uri = "postgresql+psycopg2://me:secret@host/db"
    assert (address(uri), masked(uri)) == (uri, "postgresql+psycopg2://me:***@host/db")


@pytest.fixture
def record(root: Path) -> Record:
    return store.read(next((root / "results" / store.RUNS).rglob("adapterx-*.json")))


def test_every_field_of_a_spec_is_a_param(record):
    params = fields.params(record["spec"])
    assert params["config.lr"] == str(record["spec"]["config"]["lr"])
    assert params["recipe.epochs"] == str(record["spec"]["recipe"]["epochs"])
    assert json.loads(params["backbone.mean"]) == record["spec"]["backbone"]["mean"]


def test_a_long_value_is_cut_to_what_mlflow_takes():
    assert len(fields.text("x" * 9000)) == 5000


def test_numbers_that_were_not_measured_are_no_metrics(record):
    assert fields.per_epoch({**ROW, "val_accuracy": None}) == {"train_loss": 2.5, "lr": 0.1}
    assert "accuracy/val" not in fields.final(record)
    assert fields.final(record)["accuracy/test"] == record["accuracy"]["test"]
