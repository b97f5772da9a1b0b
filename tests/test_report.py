"""The report on a run: equal to what its model says of every file, and one line where there is nothing to tell."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import load_images, load_model, report
from benchmarks.files import contents
from benchmarks.files.root import DATA_ROOT
from benchmarks.records import evidence, logits, store
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from benchmarks.tables.findings import Findings, findings
from benchmarks.training.run import run
from tests.support.layout_files import write_image_folder

CLASSES = ("=owl", "cat", "dog")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``results`` of one run on 15 photos of three classes in ``mine``."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(contents.CACHE, str(folder / "cache"))
        patch.setenv(DATA_ROOT, str(folder / "mine"))
        write_image_folder(folder / "mine/pets", CLASSES)
        recipe = {"epochs": 2, "warmup_epochs": 0}
        (spec,) = sweep.specs(sweep.Sweep(methods=("linear",), suite="folder", recipe=recipe), "float32")
        store.write(folder / "results", run(spec, folder / "results", torch.device("cpu"), lambda epoch: None))
    return folder


@pytest.fixture
def record(folder: Path) -> dict[str, Any]:
    (record,) = store.records(folder / "results")
    return record


@pytest.fixture
def found(folder: Path, record: dict[str, Any]) -> Findings:
    return findings(logits.find(folder / "results", record))


def test_the_kept_logits_are_those_of_the_model_and_have_the_accuracy_of_the_record(folder, record):
    kept = logits.find(folder / "results", record)
    assert kept.hits / len(kept.truth) == record["accuracy"]["test"] and len(kept.truth) == 15
    paths = [folder / "mine" / name for name in kept.files.tolist()]
    assert [path.parent.name for path in paths] == [record["labels"][label] for label in kept.truth]
    tuned = load_model(store.adapter_path(folder / "results", Spec.from_json(record["spec"])))
    expected = tuned.probabilities(load_images(paths, tuned.frame)).numpy()
    got = np.take_along_axis(expected, kept.classes.astype(int), axis=1)
    np.testing.assert_allclose(np.exp(kept.log_probabilities.astype(float)), got, atol=1e-3)
    assert (kept.classes[:, 0] == expected.argmax(axis=1)).all()


def test_findings_are_those_of_a_plain_loop(folder, record, found):
    kept = logits.find(folder / "results", record)
    sure = np.exp(kept.log_probabilities[:, 0].astype(float))
    matrix, bins, wrong = np.zeros((3, 3), int), {}, {}
    for name, truth, (guess, *_), share in zip(kept.files, kept.truth, kept.classes, sure, strict=True):
        matrix[truth, guess] += 1
        number = next(i for i in range(15) if share <= (i + 1) / 15)
        bins.setdefault(number, []).append((share, truth == guess))
        if truth != guess:
            wrong[str(name)] = share
    assert found.labels == CLASSES and (found.confusion == matrix).all() and found.samples == [5, 5, 5]
    assert found.accuracies == [matrix[i, i] / 5 for i in range(3)]
    gaps = [abs(sum(hit for _, hit in one) - sum(share for share, _ in one)) for one in bins.values()]
    assert found.ece == pytest.approx(sum(gaps) / 15)
    assert {one.sample: one.confidence for one in found.errors} == pytest.approx(wrong)
    assert [one.confidence for one in found.errors] == sorted(wrong.values(), reverse=True)


def test_the_command_shows_classes_confusions_calibration_and_the_surest_errors(folder, found, capsys):
    assert report.main(["linear", "--results", str(folder / "results"), "--errors", "2"]) == 0
    shown = capsys.readouterr().out
    assert "% of 15 test samples" in shown.splitlines()[0]
    assert f"The 2 of {len(found.errors)} errors with the highest confidence" in shown
    files = [one.sample for one in found.errors]
    assert all(name in shown for name in files[:2]) and not any(name in shown for name in files[2:])
    assert f"expected error {100 * found.ece:.1f} %" in shown and "1 cat" in shown


@pytest.mark.parametrize("ending", ["csv", "png"])
def test_the_report_is_a_table_of_errors_or_a_picture(ending, folder, found, tmp_path, capsys):
    out = tmp_path / f"deep/out.{ending}"
    assert report.main(["linear", "--results", str(folder / "results"), "-o", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"written: {out}"
    if ending == "png":
        assert out.read_bytes().startswith(b"\x89PNG")
        return
    rows = list(csv.DictReader(out.open()))
    assert [row["sample"] for row in rows] == [one.sample for one in found.errors]
    assert {row["true class"] for row in rows} <= {"'=owl", "cat", "dog"}


def edited(results: Path, change: Callable[[dict[str, Any]], object]) -> None:
    (path,) = (results / store.RUNS).rglob("*.json")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(evidence.seal(record)))


def test_logits_that_are_missing_damaged_or_of_another_run_are_one_line(folder, tmp_path, complaint):
    results = tmp_path / "results"
    shutil.copytree(folder / "results", results)
    (path,) = (results / logits.FOLDER).rglob("*.npz")
    edited(results, lambda record: record["accuracy"].update(test=14 / 15 if record["accuracy"]["test"] < 0.9 else 0))
    assert "its accuracy is not that of the record" in complaint(report.main, "linear", "--results", str(results))
    path.write_bytes(path.read_bytes()[:-3])
    assert complaint(report.main, "linear", "--results", str(results)).startswith(f"{path} is damaged; ")
    path.unlink()
    line = complaint(report.main, "linear", "--results", str(results))
    assert line.startswith(f"this run has no logits: there is no {path}; ") and "--force" in line


def test_committed_records_say_what_to_do(root, complaint):
    path = next((root / "results/runs/offline/digits").glob("lora-s0-*.json"))
    told = complaint(report.main, str(path), "--results", str(root / "results"))
    assert told.startswith("this run has no logits: there is no ") and told.endswith(
        f" --force --results {root / 'results'}"
    )
