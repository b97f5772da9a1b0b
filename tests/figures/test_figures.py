"""Pictures of a run are drawn from its record and task file, or the command ends with one line that says why not."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks import architecture, features, routing
from benchmarks.executors import attempt
from benchmarks.figures import features as pictures
from benchmarks.records import store
from benchmarks.records.spec import Spec
from methods.errors import UserError

SEARCH = {"supernet_epochs": 1, "population": 3, "parents": 2, "mutants": 1, "crossovers": 1, "rounds": 1}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, specs: Callable[..., list[Spec]], small_suite: str) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for spec in specs("adapterx", "noah", "linear", suite=small_suite, set={"noah": SEARCH}):
        assert attempt.attempt(spec, folder, torch.device("cpu"), lambda epoch: None) is None
    return folder


def record(results: Path, method: str) -> Path:
    return next((results / store.RUNS).rglob(f"{method}-*.json"))


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        image.load()
        return image.size


def test_routing_is_drawn_from_recorded_shares_that_sum_to_one(results, tmp_path):
    path = record(results, "adapterx")
    recorded = json.loads(path.read_text())["report"]["routing"]
    for name in ("allocation", "score"):
        shares = torch.tensor(recorded[name])
        assert shares.shape == (12, 4)
        torch.testing.assert_close(shares.sum(1), torch.ones(12))
    assert routing.main([str(path), "-o", str(tmp_path / "r.png")]) == 0
    assert min(size(tmp_path / "r.png")) > 300


def test_an_architecture_is_drawn_and_its_file_loads(results, tmp_path):
    values = json.loads(record(results, "noah").read_text())
    spec = Spec.from_json(values["spec"])
    assert values["params"]["method"] == values["report"]["search"]["params"]
    assert not store.scratch_path(results, spec).exists()
    assert architecture.main(["noah", "--results", str(results), "-o", str(tmp_path / "a.png")]) == 0
    assert min(size(tmp_path / "a.png")) > 150


def test_features_are_those_of_every_class_also_of_few_samples():
    x, y = torch.randn(900, 8), torch.arange(900) // 180  # in the order of the classes, as files are
    some, classes = pictures.spread(x, y, 500)
    assert (len(some), set(classes.tolist())) == (500, {0, 1, 2, 3, 4})
    assert pictures.tsne(pictures.spread(x[:6], y[:6], 500)[0]).shape == (6, 2)
    with pytest.raises(UserError, match="features of 3 test samples cannot be drawn; 5 are needed"):
        pictures.spread(x[:3], y[:3], 500)


@pytest.mark.parametrize("method", ["adapterx", "noah"])
def test_features_are_drawn_from_the_task_file(method, results, tmp_path):
    assert features.main([method, "--results", str(results), "-o", str(tmp_path / "f.png")]) == 0
    assert min(size(tmp_path / "f.png")) > 400


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["linear", "-o", "r.png"], ["has no routing", "adapterx"]),
        (["nothing", "-o", "r.png"], ["'nothing' names no run", "key"]),
        (["", "-o", "r.png"], ["names 3 runs"]),
        (["adapterx", "-o", "r.txt"], ["r.txt", ".png, .svg or .pdf"]),
    ],
)
def test_what_cannot_be_drawn_is_one_line(argv, parts, results, complaint):
    line = complaint(routing.main, *argv, "--results", str(results))
    assert [part for part in parts if part not in line] == []


def test_a_run_without_its_task_file_is_one_line(results, tmp_path, complaint):
    shutil.copytree(results / store.RUNS, tmp_path / store.RUNS)  # without the task files
    spec = Spec.from_json(json.loads(record(results, "linear").read_text())["spec"])
    line = complaint(features.main, "linear", "--results", str(tmp_path), "-o", "f.png")
    assert str(store.adapter_path(tmp_path, spec)) in line
