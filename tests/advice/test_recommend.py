"""The verb recommend: a sentence, a table and a plot; the test split is read after the choice; it can be continued."""

import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
import torch
from optuna.trial import TrialState

import methods
from benchmarks import recommend
from benchmarks.advice import advise, contestants, costs, finals, folds, halving
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.suites import folder
from benchmarks.sweeps.sweep import Sweep
from benchmarks.tuning.databases import StudyDatabase, file_url
from methods.errors import UserError
from tests.support.layout_files import write_image_folder
from tests.support.made_records import result

ROOT = Path(__file__).parents[2]
METHODS = ["linear", "gps"]  # the default weight decay of gps, 0, is outside the range that is searched
SHORT = ["--recipe", "epochs=2", "warmup_epochs=0", "--seeds", "0"]
Study = optuna.Study


def study(results: Path) -> Study:
    storage = StudyDatabase(url=file_url(results / advise.DATABASE)).storage
    (summary,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=summary.study_name, storage=storage)


def argv(data: Path, results: Path, *more: str) -> list[str]:
    return [
        "--data-root",
        str(data),
        "--methods",
        *METHODS,
        "--results",
        str(results),
        "--device",
        "cpu",
        *SHORT,
        *more,
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two classes of six images to train on and three to test on."""
    root = tmp_path_factory.mktemp("data")
    write_image_folder(root / "photos", ("a", "b"), train=6, test=3)
    return root


@pytest.fixture(scope="module")
def quick() -> dict[str, object]:
    """Costs as on a quick machine, because a plan must not depend on the load of this one."""
    return {"build": 0.1, "train": 0.001, "look": 0.0003, "first": 1.0, "more": 1.0}


@pytest.fixture(scope="module")
def outcome(data, quick, tmp_path_factory):
    """A recommendation in one round: results, exit status, and the splits that were read, each before or after it."""
    results, read = tmp_path_factory.mktemp("results"), []
    own, decided, decide = folder.suite(data), list[finals.Decision](), finals.decide

    def watched(*words: object) -> finals.Decision:
        decided.append(decide(*words))
        return decided[0]

    def load(task: str, split: str, *, frame: object) -> tuple[torch.Tensor, torch.Tensor]:
        read.append((split, bool(decided)))
        return own.load(task, split, frame=frame)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder, "suite", lambda root: replace(own, load=load))
        patch.setattr(costs, "measured", lambda spec, device: costs.Cost(**quick))
        patch.setattr(finals, "decide", watched)
        patch.setattr(halving, "MOST_ROUNDS", 1)
        patch.setattr(finals, "MOST_REPEATS", 1)
        patch.setattr("benchmarks.sweeps.report.save", lambda *words, **named: [])  # has tests of its own
        status = recommend.main(argv(data, results, "--budget", "1h"))
    return results, status, read


def test_the_test_split_is_read_after_the_choice_alone(outcome):
    _, status, read = outcome
    assert status == 0
    assert {after for split, after in read if split == "test"} == {True}
    assert {split for split, after in read if not after} == {"train", "val"}


def test_it_writes_a_sentence_a_table_and_a_plot(outcome):
    results, _, _ = outcome
    made = results / "recommendations"
    assert {path.name for path in made.iterdir()} == {"photos.md", "photos.png", "photos.svg", "photos.pdf"}
    page = (made / "photos.md").read_text()
    chosen = study(results).user_attrs[finals.DECISION]["chosen"]
    assert re.match(rf"Take `{chosen}`: \d+\.\d ± \d+\.\d % on test, .*\.\n", page)
    assert all(f"| {method} " in page for method in METHODS)
    assert "orange: the recommended method" in (made / "photos.svg").read_text()


def test_every_method_gets_its_default_setting_once(outcome):
    trials = study(outcome[0]).get_trials()
    assert [t.params["method"] for t in trials] == METHODS
    assert [t.user_attrs["config"] for t in trials] == [methods.defaults(method) for method in METHODS]


def test_the_finalists_have_records_and_task_files_that_say_how_they_were_chosen(outcome):
    results, _, _ = outcome
    decision = study(results).user_attrs[finals.DECISION]
    records = store.records(results)
    assert {r["spec"]["method"] for r in records} == set(decision["finalists"])
    for record in records:
        assert record["tuning"]["study"] == study(results).study_name
        assert record["tuning"]["split"] == f"{folds.FOLDS} folds"
        assert store.task_file(results, record["key"]).is_file()


def test_the_commands_that_it_names_work_on_the_chosen_run(outcome, data, capsys):
    from benchmarks import predict

    page = (outcome[0] / "recommendations" / "photos.md").read_text()
    key = re.search(r"benchmarks\.predict (\w+) PHOTOS", page)
    assert key
    photos = str(data / "photos" / "test" / "a")
    assert predict.main([key[1], photos, "--results", str(outcome[0])]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_repetition_trains_nothing_and_says_the_same(outcome, data, capsys, monkeypatch):
    results, _, _ = outcome
    before = [path.read_bytes() for path in sorted(results.glob("runs/**/*.json"))]
    monkeypatch.setattr("benchmarks.advice.halving.judged", None)
    monkeypatch.setattr("benchmarks.executors.driver.complete", None)
    monkeypatch.setattr("benchmarks.sweeps.report.save", lambda *words, **named: [])
    assert recommend.main(argv(data, results, "--budget", "1h")) == 0
    sentence = (results / "recommendations" / "photos.md").read_text().partition("\n")[0]
    assert capsys.readouterr().out.splitlines()[-1] == sentence
    assert [path.read_bytes() for path in sorted(results.glob("runs/**/*.json"))] == before


def test_runs_that_were_there_before_count_as_seeds_of_the_row(outcome, data, tmp_path, monkeypatch):
    """A finalist's run that somebody asked for before has another origin, but is a seed of the recommendation."""
    results = shutil.copytree(outcome[0], tmp_path / "results")
    chosen = study(results).user_attrs[finals.DECISION]["chosen"]
    (path,) = results.glob(f"runs/**/{chosen}-s0-*.json")
    spec, numbers = Spec.from_json(store.read(path)["spec"]), {0: 0.5, 1: 0.6, 2: 0.7}
    tuning = store.read(path)["tuning"]
    for seed, accuracy in numbers.items():
        one = replace(spec, seed=seed, tuning=tuning if seed else None)
        store.record_path(results, one).unlink(missing_ok=True)
        store.write(results, result(one, accuracy=accuracy))
    monkeypatch.setattr("benchmarks.sweeps.report.save", lambda *words, **named: [])
    monkeypatch.setattr("benchmarks.executors.driver.complete", None)
    monkeypatch.setattr(finals, "runs", lambda *words: [replace(spec, seed=n, tuning=tuning) for n in numbers])
    assert recommend.main(argv(data, results, "--budget", "1h")) == 0
    assert (results / "recommendations" / "photos.md").read_text().startswith(f"Take `{chosen}`: 60.0 ± ")


def test_a_short_batch_is_for_methods_whose_recipe_says_nothing():
    recipes = {"adaptformer": {"batch_size": 64}}
    asked = Sweep(methods=("linear", "adaptformer"), tasks=("digits",), recipes=recipes, recipe={"pace": "pace"})
    with pytest.raises(UserError, match="pace"):  # of linear, which somebody asked for
        contestants.searches(asked, "float32", only_usual=False)
    found = contestants.searches(replace(asked, recipe={}), "float32", only_usual=False)
    assert {one.base.method: one.base.recipe.batch_size for one in found} == {"linear": 16, "adaptformer": 64}
    others = replace(asked, methods=("lora", "adaptformer"))
    assert {one.base.recipe.pace for one in contestants.searches(others, "float32", only_usual=False)} == {"pace"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--budget", "30"], "--budget '30' is no time"),
        (["--methods", "lora"], "one method is no choice"),
        (["--set", "gps.lr=[0.1,0.01]"], "several sets of options for gps"),
        (["--recipe", "epochs=[20,30]"], "recipe: give values, not lists"),
    ],
)
def test_a_mistake_is_one_line(words, told, data, tmp_path, complaint):
    given = {"--methods": METHODS, "--data-root": [str(data)], "--results": [str(tmp_path)], words[0]: words[1:]}
    assert told in complaint(recommend.main, *(word for name, some in given.items() for word in [name, *some]))


def test_several_tasks_are_refused(tmp_path, complaint):
    for name in ("one", "two"):
        write_image_folder(tmp_path / "data" / name, train=4, test=2)
    line = complaint(recommend.main, "--data-root", str(tmp_path / "data"), "--results", str(tmp_path / "results"))
    assert line == "a method is recommended for one task, and there are 2: one, two; give --tasks NAME"


def kept(results: Path) -> dict[str, object]:
    """What is kept of a recommendation so far: finished trials, the decision, and the accuracies of records."""
    if not (results / advise.DATABASE).exists():
        return {"trials": [], "decision": None, "tested": {}}
    own = study(results)
    finished = own.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return {
        "trials": [(trial.params, trial.state, trial.intermediate_values) for trial in finished],
        "decision": own.user_attrs.get(finals.DECISION),
        "tested": {record["key"]: record["accuracy"] for record in store.records(results)},
    }


@pytest.mark.slow
def test_a_recommendation_that_is_killed_and_interrupted_ends_as_an_undisturbed_one(data, tmp_path):
    def start(results: Path) -> subprocess.Popen[bytes]:
        words = argv(data, results, "--budget", "2h")
        return subprocess.Popen([sys.executable, "-m", "tests.support.recommending", *words], cwd=ROOT)

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole).wait() == 0
    for trials, end in ((1, signal.SIGKILL), (2, signal.SIGINT), (4, signal.SIGKILL)):
        process = start(broken)
        while process.poll() is None and len(kept_or_nothing(broken)) < trials:
            time.sleep(0.1)
        while process.poll() is None:  # torch may swallow one Ctrl-C
            process.send_signal(end)
            time.sleep(0.5)
        assert process.returncode in ((130, -end) if end == signal.SIGINT else (-end,))  # -end: one more, at exit
        assert len(kept(broken)["trials"]) >= trials
    assert start(broken).wait() == 0
    assert kept(broken) == kept(whole)
    pages = [(folder / "recommendations" / "photos.md").read_text().partition("\n")[0] for folder in (whole, broken)]
    assert pages[0] == pages[1]


def kept_or_nothing(results: Path) -> list[object]:
    """The finished trials; none while another process creates the study."""
    with suppress(ValueError, KeyError, UserError):
        return kept(results)["trials"]
    return []
