"""Tuning: equal trials per method, no use of the test split, one storage for many processes, some of which die."""

import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
import torch
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import TrialState
from pytest import TempPathFactory
from sqlalchemy import event

import methods
from benchmarks import run, suites, tune
from benchmarks.records import store
from benchmarks.sweeps import arguments, sweep
from benchmarks.tables import reader, rows
from benchmarks.tuning import databases, space, studies, tuned
from benchmarks.tuning.databases import StudyDatabase, file_url, make_file
from benchmarks.tuning.space import Search
from methods.errors import UserError
from methods.linear import Linear

RECIPE = ["--recipe", "epochs=3", "warmup_epochs=0"]
QUICK = ["--methods", "linear", "--tasks", "digits", *RECIPE]
KILLS = int(os.environ.get("PEFT_BENCH_KILLS", "1"))


def search(trials: int = 4, method: str = "linear", **recipe: object) -> Search:
    asked = sweep.Sweep(methods=(method,), tasks=("digits",), recipe={"epochs": 3, "warmup_epochs": 0} | recipe)
    (planned,) = tune.plan(asked, "float32", seed=0, trials=trials)
    return planned


def place(folder: Path, grace_seconds: int = 60) -> StudyDatabase:
    return StudyDatabase(url=f"sqlite:///{folder / 'tuning.db'}", grace_seconds=grace_seconds)


def work(wanted: Search, database: StudyDatabase):
    studies.work(wanted, database, torch.device("cpu"), on_trial=lambda: None)


def trials(wanted: Search, database: StudyDatabase) -> list[optuna.trial.FrozenTrial]:
    return studies.study(wanted, database).get_trials()


def drawn(wanted: Search, database: StudyDatabase) -> list[tuple[Any, ...]]:
    """Return slot, options and value of each finished trial, in the order of slots."""
    found = [t for t in trials(wanted, database) if t.state in studies.FINISHED]
    return sorted((t.user_attrs["slot"], sorted(t.params.items()), t.value) for t in found)


def states(wanted: Search, database: StudyDatabase) -> list[str]:
    return [trial.state.name for trial in trials(wanted, database)]


def check_whole(wanted: Search, database: StudyDatabase, results: Path):
    """Check that each slot has one finished trial, and that the written file holds the best trial of the storage."""
    finished = [trial for trial in trials(wanted, database) if trial.state in studies.FINISHED]
    assert sorted(trial.user_attrs["slot"] for trial in finished) == list(range(wanted.trials))
    best = studies.study(wanted, database).best_trial
    found = json.loads(tuned.path(results / tuned.CONFIGS, wanted.base).read_text())
    assert found["val_accuracy"] == best.value
    assert found["study"] == wanted.name
    top = [trial for trial in finished if trial.value == best.value]
    assert found["config"] in [trial.user_attrs["config"] for trial in top]


@pytest.fixture(scope="module")
def results(tmp_path_factory: TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    argv = ["--methods", "linear", "bitfit", "--tasks", "digits", *RECIPE, "--trials", "6", "--workers", "1"]
    assert tune.main([*argv, "--results", str(folder)]) == 0
    return folder


def test_every_method_gets_the_same_trials_and_its_best_is_written(results):
    for method in ("linear", "bitfit"):
        check_whole(search(6, method), place(results), results)


def test_all_studies_are_drawn_on_one_sheet(results):
    drawn = {path.name for path in (results / "figures" / "tuning").iterdir()}
    assert drawn == {"offline.png", "offline.svg", "offline.pdf"}
    text = (results / "figures" / "tuning" / "offline.svg").read_text()
    texts = ("linear", "bitfit", "digits", "offline: 2 studies of 6 trials")
    assert all(f"<!-- {one} -->" in text for one in texts)


def test_a_repetition_trains_nothing_and_more_trials_continue(results, tmp_path):
    shutil.copy(results / "tuning.db", tmp_path)
    argv = [*QUICK, "--workers", "1", "--results", str(tmp_path)]
    before = trials(search(6), place(tmp_path))
    assert tune.main([*argv, "--trials", "6"]) == 0
    assert trials(search(6), place(tmp_path)) == before
    assert tune.main([*argv, "--trials", "8"]) == 0
    assert trials(search(8), place(tmp_path))[:6] == before
    check_whole(search(8), place(tmp_path), tmp_path)


def test_trials_do_not_depend_on_interruptions(results, tmp_path):
    for so_far in (2, 5, 6):
        work(search(so_far), place(tmp_path))
    assert drawn(search(6), place(tmp_path)) == drawn(search(6), place(results))


def test_dashboards_see_what_a_study_maximises(results):
    assert studies.study(search(6), place(results)).metric_names == ["val_accuracy"]


def test_the_first_trial_is_the_default_configuration(results):
    first, *others = trials(search(6), place(results))
    config = search(6).base.config
    assert first.params == {"lr": config.lr, "weight_decay": config.weight_decay}
    assert all(trial.params != first.params for trial in others)


@pytest.mark.parametrize("method", list(methods.table()))
def test_every_method_suggests_a_run_and_its_default(method):
    task = "digits" if "image" in methods.get(method).modalities else "solids"
    asked = sweep.Sweep(methods=(method,), tasks=(task,))
    (wanted,) = tune.plan(asked, "float32", seed=0, trials=1)
    own = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    own.enqueue_trial(space.defaults(wanted))
    assert space.suggested(wanted, own.ask(), first=True).config == wanted.base.config
    second = own.ask()
    assert space.suggested(wanted, second, first=False).method == method
    assert {"lr", "weight_decay"} <= set(second.params)


def test_no_trial_reads_the_test_split(monkeypatch, tmp_path):
    suite = suites.get("offline")

    def load(task, split, *, frame):
        if split == "test":
            raise PermissionError("the test split was read")
        return suite.load(task, split, frame=frame)

    monkeypatch.setattr(suites, "get", lambda name: replace(suite, load=load))
    argv = ["--methods", "lora", "full", "--tasks", "digits", *RECIPE, "--trials", "1", "--workers", "1"]
    assert tune.main([*argv, "--results", str(tmp_path)]) == 0
    with pytest.raises(PermissionError):
        suites.get("offline").load("digits", "test", frame=None)


def test_a_trial_may_not_ask_for_the_test_split():
    with pytest.raises(AssertionError, match="asked for the test split"):
        studies.without_test(search().base)("test")


def test_a_trial_reports_only_epochs_whose_accuracy_was_measured(specs):
    reported: dict[int, float] = {}
    trial: Any = SimpleNamespace(
        report=lambda value, epoch: reported.update({epoch: value}), should_prune=lambda: False
    )
    (spec,) = specs("linear", recipe={"epochs": 3, "train_split": "train", "validate_every": 2})
    value = studies.validated(spec, torch.device("cpu"), trial)
    assert list(reported) == [2, 3] and reported[3] == value


def test_a_rule_that_looks_at_the_test_split_is_refused(complaint):
    assert "checkpoint_rule=best_test" in complaint(tune.main, *QUICK, "checkpoint_rule=best_test")


def test_a_trial_whose_loss_is_nan_is_pruned(monkeypatch, tmp_path):
    def loss(*_: object) -> torch.Tensor:
        return torch.full((), torch.nan, requires_grad=True)

    monkeypatch.setattr("benchmarks.training.train.Trainer.batch_loss", loss)
    work(search(3), place(tmp_path))
    assert states(search(3), place(tmp_path)) == ["PRUNED"] * 3
    assert studies.best(search(3), place(tmp_path)) is None


def test_a_bug_in_a_method_is_shown_with_its_line_and_the_others_are_tuned(monkeypatch, tmp_path, capsys):
    def forward(self: object, x: torch.Tensor) -> torch.Tensor:
        return x @ x.new_ones(3, 5)

    monkeypatch.setattr("methods.adapter.Residual.forward", forward)
    argv = ["--methods", "adapter", "norm", "--tasks", "digits", *RECIPE, "--trials", "2", "--workers", "1"]
    assert tune.main([*argv, "--results", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert re.search("failed 3 times: RuntimeError: (mm: )?mat1 and mat2 shapes cannot be multiplied", out)
    assert f'File "{__file__}", line {forward.__code__.co_firstlineno + 1}, in forward' in out
    failed = [t for t in trials(search(2, "adapter"), place(tmp_path)) if t.state.name == "FAIL"]
    assert failed[-1].user_attrs["traceback"] in out
    check_whole(search(2, "norm"), place(tmp_path), tmp_path)


def test_a_study_that_failed_is_continued_by_the_next_command(monkeypatch, tmp_path, capsys):
    argv = [*QUICK, "--trials", "2", "--workers", "1", "--results", str(tmp_path)]

    def full(*given: object) -> float:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(studies, "validated", full)
        assert tune.main(argv) == 1
    assert "failed 3 times: RuntimeError: out of memory" in capsys.readouterr().out
    assert tune.main(argv) == 0
    check_whole(search(2), place(tmp_path), tmp_path)


def test_a_study_without_a_trial_that_ended_is_told(tmp_path, capsys):
    argv = [*QUICK, "--set", "linear.lr=[1e30,1e36]", "--workers", "1", "--results", str(tmp_path)]
    assert tune.main(argv) == 1
    out = capsys.readouterr().out
    assert "failed: linear on digits: every trial diverged or was pruned; try other options" in out
    assert "written" not in out and "next" not in out


def test_a_slot_queued_twice_is_run_once(tmp_path):
    wanted, database = search(3), place(tmp_path)
    own = studies.study(wanted, database)
    for slot in (0, 1, 1, 2, 0):  # as when two processes find the same slots free
        own.enqueue_trial({}, user_attrs={"slot": slot})
    work(wanted, database)
    assert [slot for slot, *_ in drawn(wanted, database)] == [0, 1, 2]


def test_two_processes_never_take_one_trial(tmp_path):
    first, second = place(tmp_path).storage, place(tmp_path).storage
    own = optuna.create_study(storage=first)
    own.enqueue_trial({})
    taken: list[bool] = []

    def take(storage: BaseStorage):
        taken.append(storage.set_trial_state_values(own.trials[0]._trial_id, TrialState.RUNNING))

    other = Thread(target=take, args=(second,))

    def try_meanwhile(connection: object, cursor: object, statement: str, *rest: object):
        if statement.startswith("UPDATE trials") and other.ident is None:  # the first has read that the trial waits
            other.start()
            other.join(timeout=1)

    event.listen(cast(RDBStorage, first).engine, "before_cursor_execute", try_meanwhile)
    take(first)
    other.join()
    assert sorted(taken) == [False, True]


def test_a_trial_that_ends_after_it_was_taken_for_dead_is_run_again(monkeypatch, tmp_path):
    wanted, database = search(2), place(tmp_path)
    lost: list[int] = []

    def take_away(spec: object, device: object, trial: optuna.Trial) -> float:
        if not lost:
            lost.append(trial.number)
            studies.study(wanted, database).tell(trial.number, state=TrialState.FAIL)
        return 0.5

    monkeypatch.setattr(studies, "validated", take_away)
    work(wanted, database)
    assert states(wanted, database) == ["FAIL", "COMPLETE", "COMPLETE"]
    assert studies.unfinished(wanted, database) == 0


def test_a_trial_taken_for_dead_before_its_start_is_run_again(monkeypatch, tmp_path):
    lost, plain = list[int](), optuna.Study.optimize

    def optimize(self: optuna.Study, *args: Any, **options: Any):
        if lost:
            return plain(self, *args, **options)
        lost.append(self.ask().number)
        self.tell(lost[0], state=TrialState.FAIL)
        raise optuna.exceptions.UpdateFinishedTrialError

    monkeypatch.setattr(optuna.Study, "optimize", optimize)
    work(search(2), place(tmp_path))
    assert states(search(2), place(tmp_path)) == ["FAIL", "COMPLETE", "COMPLETE"]


@pytest.mark.slow
def test_two_processes_share_a_storage_and_lose_no_trial(tmp_path):
    command = [sys.executable, "-m", "benchmarks.tune", *QUICK, "--trials", "8", "--workers", "1"]
    both = [subprocess.Popen([*command, "--results", str(tmp_path)], stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    check_whole(search(8), place(tmp_path), tmp_path)


@pytest.mark.slow
def test_tuning_killed_at_a_random_moment_ends_with_exactly_its_trials(tmp_path):
    argv = [*QUICK, "--trials", "8", "--workers", "2", "--grace-seconds", "6", "--results", str(tmp_path)]
    command, moments = [sys.executable, "-m", "benchmarks.tune", *argv], random.Random(0)
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (tmp_path / "tuning.db").exists():
            time.sleep(0.1)
        time.sleep(moments.uniform(1, 10))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run(command, capture_output=True).returncode == 0
    check_whole(search(8), place(tmp_path), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_fails_the_trials_of_all_processes_and_ends_them(number, tmp_path):
    argv = ["--methods", "full", "--tasks", "digits", "--recipe", "epochs=100", "warmup_epochs=0"]
    long, database = search(8, "full", epochs=100), place(tmp_path)

    argv += ["--trials", "8", "--workers", "2", "--results", str(tmp_path)]
    command = [sys.executable, "-m", "benchmarks.tune", *argv]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while (before := studies.counts(long, database))["running"] < 2:
        assert process.poll() is None
        time.sleep(0.5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # a terminal sends Ctrl-C to every process
    else:
        process.send_signal(number)
    _, err = process.communicate()
    assert process.returncode == 128 + number
    deadline = time.monotonic() + 2  # for the process in which Python counts semaphores
    while alive := [child for child in children if Path(f"/proc/{child}").exists()]:
        assert time.monotonic() < deadline, alive
    left = studies.counts(long, database)
    # on a busy machine a process may take the other's trial for dead before it starts, and fail it
    assert (left["running"], left["fail"]) == (0, before["fail"] + 2)
    assert "Traceback" not in err


def test_ctrl_c_fails_the_trial_at_once(monkeypatch, tmp_path):
    def fit(self: Linear, trainer: object):
        raise KeyboardInterrupt

    monkeypatch.setattr(Linear, "fit", fit)
    assert tune.main([*QUICK, "--trials", "2", "--workers", "1", "--results", str(tmp_path)]) == 130
    monkeypatch.undo()
    assert sorted(states(search(2), place(tmp_path))) == ["FAIL", "WAITING"]
    work(search(2), place(tmp_path))
    assert studies.unfinished(search(2), place(tmp_path)) == 0


def test_a_trial_of_a_dead_process_is_run_again(tmp_path):
    wanted, database = search(2), place(tmp_path, grace_seconds=2)
    own = studies.study(wanted, database)
    own.enqueue_trial({}, user_attrs={"slot": 0})
    own.ask()  # then its process is killed, before the first heartbeat
    assert studies.unfinished(wanted, database) == 2
    time.sleep(2.5)
    work(wanted, database)
    assert studies.unfinished(wanted, database) == 0


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "cannot use storage nonsense"),
        ("sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("postgresql+nosuchdriver://localhost/x", "nosuchdriver"),
        ("sqlite://me:secret@/nowhere/at/all.db", "me:***@"),
        ("postgresql://me:of@secret:x@localhost/x", "me:***@localhost/x: its port is no number"),
        ("sqlite://", "storage sqlite:// is in memory"),
        ("sqlite:///:memory:", "storage sqlite:///:memory: is in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "is in memory"),
        ("sqlite:///file::memory:?cache=shared&uri=true", "is in memory"),
    ],
)
def test_a_storage_that_cannot_be_opened_or_kept_is_one_line(url, reason, complaint, monkeypatch):
    monkeypatch.setattr(databases, "PAUSES", (0.0, 0.0))
    line = complaint(tune.main, *QUICK, "--storage", url)
    assert [part in line for part in (reason, "--storage", "secret")] == [True, True, False]


@pytest.mark.parametrize("name", ["a?b", "a#{b}%3F", "a b&c=d"])
def test_the_database_is_in_its_folder_whatever_the_name(name, tmp_path):
    (tmp_path / name).mkdir()
    database = StudyDatabase(url=file_url(tmp_path / name / "tuning.db"), grace_seconds=60)
    assert database.storage.get_all_studies() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name / "tuning.db"]


def test_the_next_command_keeps_the_precision_and_the_seeds_of_the_file(tmp_path, capsys):
    file = tmp_path / "two.yaml"
    asked = {"methods": "linear", "tasks": ["digits"], "recipe": {"epochs": 1, "warmup_epochs": 0}, "seeds": [3, 4]}
    file.write_text(json.dumps(asked))
    argv = ["--config", str(file), "--trials", "1", "--dtype", "float32", "--results", str(tmp_path)]
    assert tune.main([*argv, "--workers", "1", "--device", "cpu", "--tracking", "off"]) == 0
    command = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("next: "))
    args = run.parser().parse_args(shlex.split(command.partition("benchmarks.run ")[2]))
    assert (args.dtype, list(arguments.sweep(args).seeds)) == ("float32", [3, 4])


def test_a_storage_that_fails_during_tuning_is_one_line(monkeypatch, tmp_path, complaint):
    def fill(*_: object):
        (tmp_path / "tuning.db").write_bytes(b"nothing of use" * 1000)
        studies.study(search(), place(tmp_path)).get_trials()

    monkeypatch.setattr(studies, "fill", fill)
    line = complaint(tune.main, *QUICK, "--workers", "1", "--results", str(tmp_path))
    assert "storage sqlite://" in line
    assert "not a database" in line


def test_a_fixed_option_has_its_own_study_and_never_changes(tmp_path):
    asked = {"methods": ("linear",), "tasks": ("digits",), "recipe": {"epochs": 3, "warmup_epochs": 0}}
    (wanted,) = tune.plan(sweep.Sweep(**asked, set={"linear": {"lr": 0.01}}), "float32", seed=0, trials=3)
    assert wanted.base == search().base  # 0.01 is the default
    assert wanted.name != search().name
    work(wanted, place(tmp_path))
    tried = trials(wanted, place(tmp_path))
    assert {trial.user_attrs["config"]["lr"] for trial in tried} == {0.01}
    assert [set(trial.params) for trial in tried] == [{"weight_decay"}] * 3  # what is shown is what was searched


def test_lists_of_options_are_a_grid_of_which_each_trial_takes_one(tmp_path):
    argv = [*QUICK, "--set", "linear.lr=[0.03,0.01,0.0001]", "linear.weight_decay=0.01", "--results", str(tmp_path)]
    assert tune.main([*argv, "--workers", "1"]) == 0
    base = sweep.Sweep(methods=("linear",), tasks=("digits",), recipe={"epochs": 3, "warmup_epochs": 0})
    (wanted,) = tune.plan(
        replace(base, set={"linear": {"lr": [0.03, 0.01, 0.0001], "weight_decay": 0.01}}),
        "float32",
        seed=0,
        trials=None,
    )
    tried = [trial.user_attrs["config"] for trial in trials(wanted, place(tmp_path))]
    assert [(one["lr"], one["weight_decay"]) for one in tried] == [(0.03, 0.01), (0.01, 0.01), (0.0001, 0.01)]
    check_whole(wanted, place(tmp_path), tmp_path)
    assert run.main([*argv, "--workers", "1", "--tuned"]) == 0  # the same options are allowed, and make one run
    (record,) = store.records(tmp_path)
    found = json.loads(tuned.path(tmp_path / tuned.CONFIGS, wanted.base).read_text())
    assert (record["spec"]["config"], found["sampler"]) == (found["config"], "grid")
    assert record["spec"]["config"]["lr"] != 0.0001
    assert record["tuning"]["fixed"] == ["weight_decay"]  # so that another rate on another task is the same row
    assert rows.names(reader.to_frame([record])) == ["linear weight_decay=0.01 tuned, 3 trials"]


class TestTunedRuns:
    def test_use_the_best_configuration_and_record_how_it_was_found(self, results, tmp_path):
        shutil.copytree(results / tuned.CONFIGS, tmp_path / tuned.CONFIGS)
        assert run.main([*QUICK, "--workers", "1", "--tuned", "--results", str(tmp_path)]) == 0
        (record,) = store.records(tmp_path)
        found = json.loads(tuned.path(results / tuned.CONFIGS, search().base).read_text())
        assert record["spec"]["config"] == found["config"]
        recorded = ("study", "trials", "split", "val_accuracy", "fixed", "search_seed")
        assert record["tuning"] == {name: found[name] for name in recorded}
        assert "tuning" not in record["spec"]

    def test_may_be_found_in_the_current_folder(self, results, monkeypatch, capsys):
        monkeypatch.chdir(results / tuned.CONFIGS)
        assert run.main([*QUICK, "--tuned", ".", "--results", "elsewhere", "--dry-run"]) == 0

    def test_have_the_key_of_their_configuration(self, results, specs):
        (plain,) = specs("linear", recipe={"epochs": 3})
        (chosen,) = tuned.apply([plain], results / tuned.CONFIGS)
        assert chosen.key == replace(plain, config=chosen.config).key

    @pytest.mark.parametrize(
        ("argv", "reason"),
        [
            (["--methods", "norm", "--tasks", "digits", *RECIPE], "not tuned yet: norm on digits"),
            (["--methods", "linear", "--tasks", "digits", "--recipe", "epochs=5", "warmup_epochs=0"], "with recipe"),
            ([*QUICK, "--set", "linear.lr=0.1"], "leave out what is set for linear"),
        ],
    )
    def test_other_runs_are_refused(self, argv, reason, results, complaint):
        assert reason in complaint(run.main, *argv, "--tuned", "--results", str(results))

    def test_a_recipe_field_that_is_newer_than_the_file_has_its_default(self, results, tmp_path):
        found = json.loads(tuned.path(results / tuned.CONFIGS, search().base).read_text())
        del found["recipe"]["compile"]
        file = tuned.path(tmp_path, search().base)
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(found))
        (spec,) = tuned.apply([search().base], tmp_path)
        assert spec.config.lr == found["config"]["lr"]

    def test_a_damaged_file_is_an_error(self, tmp_path):
        file = tuned.path(tmp_path, search().base)
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        with pytest.raises(UserError, match="cannot read"):
            tuned.apply([search().base], tmp_path)


POSTGRES = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")))]


@pytest.fixture
def postgres() -> Iterator[str]:
    """A temporary PostgreSQL server on a socket; the URL of its database."""
    found = next((path for path in POSTGRES if path), None)
    if found is None:
        pytest.skip("no PostgreSQL here: Debian's package postgresql has it")
    pytest.importorskip("psycopg", reason="the PostgreSQL driver psycopg comes with the extra 'dev'")
    # the server refuses to run as root, and its user may not enter pytest's temporary folders
    user: dict[str, Any] = {"user": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as data:
        if user:
            shutil.chown(data, "postgres")
        bin_, quiet = Path(found).parent, {"check": True, "capture_output": True, "cwd": data, **user}
        subprocess.run([bin_ / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync"], **quiet)
        options = f"-c listen_addresses='' -k {data} -c fsync=off"
        subprocess.run([bin_ / "pg_ctl", "-D", data, "-w", "-l", f"{data}/log", "-o", options, "start"], **quiet)
        yield f"postgresql+psycopg://bench@/postgres?host={data}"
        subprocess.run([bin_ / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)


@pytest.mark.slow
def test_studies_can_live_in_postgresql(postgres, tmp_path):
    argv = [*QUICK, "--trials", "6", "--storage", postgres, "--results", str(tmp_path)]
    assert tune.main([*argv, "--workers", "2"]) == 0
    check_whole(search(6), StudyDatabase(url=postgres, grace_seconds=60), tmp_path)
    assert not (tmp_path / "tuning.db").exists()


def test_a_study_in_a_folder_of_a_group_can_be_written_by_the_group(tmp_path):
    tmp_path.chmod(0o2775)
    before = os.umask(0o022)
    try:
        make_file(tmp_path / "tuning.db")
        assert StudyDatabase(url=file_url(tmp_path / "tuning.db"), grace_seconds=60).storage.get_all_studies() == []
    finally:
        os.umask(before)
    assert (tmp_path / "tuning.db").stat().st_mode & 0o777 == 0o664


def test_a_changed_method_gets_a_study_of_its_own_unless_the_old_one_is_continued(tmp_path, monkeypatch, capsys):
    def told(code, *more):
        monkeypatch.setattr(sweep, "digest", lambda method: code * 16)
        argv = [*QUICK, "--workers", "1", "--trials", "1", "--results", str(tmp_path)]
        assert tune.main([*argv, *more]) == 0
        out, err = capsys.readouterr()
        return ("1/1 linear on digits, trial 0: " in out), err

    before = "warning: method 'linear': other code than today's ran the trials of 1 of 1 studies; such studies "
    assert told("1") == (True, "")
    assert told("2", "--keep-outdated") == (False, f"{before}continue\n")
    made = f"{before}stay, and new ones are made; --keep-outdated continues the old ones\n"
    assert told("2") == (True, made)
    assert told("2") == (False, "") and told("1") == (False, "")  # each has a study now
    database, old, new = place(tmp_path), search(1), replace(search(1), code="2" * 16)
    assert [studies.study(one, database).user_attrs for one in (old, new)] == [
        {studies.DIGEST: code * 16} for code in ("1", "2")
    ]
    assert [len(trials(one, database)) for one in (old, new)] == [1, 1]
    changed = replace(search(1).base, method_digest="3" * 16)
    (kept,) = tuned.apply([changed], tmp_path / tuned.CONFIGS)
    assert kept.tuning["study"] == old.name
    assert "was tuned with other code of 'linear' than today's" in capsys.readouterr().err
