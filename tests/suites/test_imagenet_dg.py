"""Domain generalisation: one training and five tests, by the published lists; a miniature runs from end to end."""

from dataclasses import replace

import pytest
import torch

from benchmarks import data, leaderboard, published, run, suites
from benchmarks.files import contents
from benchmarks.files.frames import Frame
from benchmarks.files.root import DATA_ROOT, Missing
from benchmarks.records import logits, store
from benchmarks.records.spec import Spec
from benchmarks.suites import imagenet_dg
from benchmarks.sweeps import grid, sweep
from benchmarks.tables import published as beside
from benchmarks.tables.reader import to_frame
from benchmarks.tables.rows import comparable
from benchmarks.training import task_files
from tests.support.layout_files import DG_COUNTS, write_imagenet_dg

NAME, SHOTS = "imagenet_dg", 4
SUITE = suites.get(NAME)
RUN = ["--suite", NAME, "--backbone", "vit_nano", "--recipe", "epochs=1", "warmup_epochs=0", "batch_size=6"]
SOURCE = "few-shot/imagenet"

# source accuracy, Sketch, V2, A, R as NOAH's and PACE's tables print them
PRINTED = {
    **{"full": (63.9, 18.5, 52.5, 3.2, 21.2), "linear": (67.9, 14.4, 60.8, 9.4, 25.6)},
    **{"adapter": (70.5, 16.4, 59.1, 5.5, 22.1), "vpt_deep": (70.5, 18.3, 58.0, 4.6, 23.2)},
    **{"lora": (70.8, 20.0, 59.3, 6.9, 23.3), "noah": (71.5, 24.8, 66.1, 11.9, 28.5)},
    **{"glora": (78.3, 30.6, 67.5, 13.3, 31.0), "pace": (79.0, 31.8, 69.4, 16.3, 35.2)},
    **{"adaptformer": (77.4, 26.5, 67.4, 12.4, 28.7), "hf:boft": (77.1, 27.0, 66.8, 12.8, 31.1)},
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A data root with four training images of three classes, and tables that expect it."""
    monkeypatch.setenv(contents.CACHE, str(tmp_path / "cache"))
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "data"))
    few = replace(SUITE.tasks["imagenet"], labels=("0", "1", "2"), train=11, val=1, test=DG_COUNTS["test"])
    monkeypatch.setitem(SUITE.tasks, "imagenet", few)
    monkeypatch.setattr(imagenet_dg, "TRAIN", imagenet_dg.TRAIN.replace("16", str(SHOTS)))
    for name, count in DG_COUNTS.items():
        own = imagenet_dg.TESTS[name]._replace(total=count, classes=2 if name in "ar" else 3)
        monkeypatch.setitem(imagenet_dg.TESTS, name, own)
    write_imagenet_dg(tmp_path / "data", shots=SHOTS)
    return tmp_path / "data"


def test_the_table_is_the_published_one():
    task = SUITE.tasks["imagenet"]
    assert (task.train + task.val, task.classes, task.test) == (16_000, 1000, 50_000)
    assert (task.val, task.tests) == (1_600, ("test", "sketch", "v2", "a", "r"))
    counts = {name: (images.total, images.classes) for name, images in imagenet_dg.TESTS.items()}
    assert counts == {
        **{"test": (50_000, 1000), "sketch": (50_889, 1000), "v2": (10_000, 1000)},
        **{"a": (7_500, 200), "r": (30_000, 200)},
    }


def test_the_recipe_is_that_of_noah():
    (recipe,) = grid.recipes(SUITE.recipe("imagenet"), {})
    asked = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "label_smoothing": 0.1, "rand_augment": 9}
    asked |= {"color_jitter": 0.4, "random_erasing": 0.25, "train_split": "trainval", "masked": False}
    assert {name: getattr(recipe, name) for name in asked} == asked
    assert SUITE.backbones == {"image": "vit_base_patch16_224.orig_in21k"}


@pytest.mark.usefixtures("small")
def test_every_split_has_the_samples_of_its_list():
    for name, count in DG_COUNTS.items():
        x, y = SUITE.load("imagenet", name, frame=Frame(8))
        assert (x.shape, len(y)) == ((count, 3, 8, 8), count)
        assert set(y.tolist()) == {"a": {0, 2}, "r": {1, 2}}.get(name, {0, 1, 2})
    parts = [SUITE.load("imagenet", split, frame=Frame(8)) for split in ("train", "val")]
    assert [len(y) for _, y in parts] == [11, 1]
    assert torch.cat([y for _, y in parts]).bincount().tolist() == [4, 4, 4]


@pytest.mark.usefixtures("small")
def test_every_seed_has_its_training_list_and_the_same_tests():
    first, second = (SUITE.of_seed(seed) for seed in (0, 1))
    assert first.fingerprint("imagenet") == SUITE.fingerprint("imagenet") != second.fingerprint("imagenet")
    assert not torch.equal(*(own.load("imagenet", "train", frame=Frame(8))[0] for own in (first, second)))
    assert torch.equal(*(own.load("imagenet", "r", frame=Frame(8))[0] for own in (first, second)))


def test_images_sorted_into_folders_stand_in_for_the_missing_list(small):
    listed = {name: SUITE.load("imagenet", name, frame=Frame(8))[0] for name in ("test", "train")}
    (small / SOURCE / "annotations/val_meta.list").unlink()
    x, y = SUITE.load("imagenet", "test", frame=Frame(8))
    assert y.tolist() == [0, 0, 1, 1, 2, 2]  # class by class
    assert {image.numpy().tobytes() for image in x} == {image.numpy().tobytes() for image in listed["test"]}


@pytest.mark.usefixtures("small")
def test_verify_passes_the_miniature_and_tells_its_tests(capsys):
    assert data.main(["verify", NAME]) == 0
    out = capsys.readouterr().out
    assert "imagenet: 3 classes, 11 + 1 + 6 samples" in out
    assert "test sets: test 6, sketch 9, v2 3, a 4, r 5" in out and "two splits" not in out


def test_verify_tells_of_leaks_but_passes(small, capsys):
    leaked = small / SOURCE / "train/n00000000/t0 0.png"
    (small / "domain-generalization/imagenet-rendition/imagenet-r/n00000001/r 0.png").write_bytes(leaked.read_bytes())
    assert data.main(["verify", NAME]) == 0
    out = capsys.readouterr().out
    assert "1 images are in two splits: few-shot/imagenet/train/n00000000/t0 0.png and domain-" in out


def test_missing_data_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path))
    with pytest.raises(Missing, match=r"the data of imagenet_dg are not below .*domain-generalization.*--data-root"):
        SUITE.fingerprint("imagenet")


@pytest.mark.usefixtures("small")
def test_one_training_gives_five_numbers(tmp_path, capsys):
    results = tmp_path / "results"
    asked = [*RUN, "--results", str(results), "--methods", "linear", "lora", "adapterx"]
    assert run.main(asked) == 0
    records = list(store.records(results))
    assert {record["spec"]["method"] for record in records} == {"linear", "lora", "adapterx"}
    for record in records:
        found = record["accuracy"]
        assert list(found["others"]) == ["sketch", "v2", "a", "r"] and "metric" not in found
        assert "kind" not in record["spec"] and found["test_samples"] == 6
        kept = logits.find(results, record)
        assert kept.files.tolist() == SUITE.files("imagenet", "test") and kept.hits == 6 * found["test"]
        trained = task_files.load(store.adapter_path(results, Spec.from_json(record["spec"])))
        for name, number in {**found["others"], "test": found["test"]}.items():
            x, y = SUITE.load("imagenet", name, frame=Frame(32))
            assert number == pytest.approx(float((trained.predict(x) == y).float().mean()), abs=1e-6), name
    page = (results / "leaderboard.md").read_text()
    assert "sketch" in page and "sketch, v2, a, r: further numbers of the same runs" in page
    capsys.readouterr()
    assert run.main(asked) == 0
    assert "3 runs: 0 trained, 3 already finished" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_masked_lets_only_the_classes_of_a_test_compete(tmp_path):
    results = tmp_path / "results"
    assert run.main([*RUN, "masked=true", "--results", str(results), "--methods", "linear"]) == 0
    (record,) = store.records(results)
    trained = task_files.load(store.adapter_path(results, Spec.from_json(record["spec"])))
    for name, own in (("a", [0, 2]), ("r", [1, 2])):
        x, y = SUITE.load("imagenet", name, frame=Frame(32))
        with torch.inference_mode():
            guess = torch.tensor(own)[trained(x)[:, own].argmax(1)]
        assert record["accuracy"]["others"][name] == pytest.approx(float((guess == y).float().mean()))
    assert record["spec"]["recipe"]["masked"] is True


def test_the_published_table_has_every_printed_cell():
    table = beside.table(NAME, [])
    found = {
        method: tuple(float(cells[name]) for name in ("imagenet", "sketch", "v2", "a", "r"))
        for method, cells in table.cells.to_dict("index").items()
    }
    assert found == PRINTED
    assert len(published.numbers(SUITE.published)) == 50


def made(method, numbers, seed):
    """A record with the numbers of five tests."""
    (spec,) = sweep.specs(sweep.Sweep(methods=(method,), suite=NAME, seeds=(seed,)), "float32", absent=True)
    source, *others = numbers
    accuracy = {"val": None, "test": source, "test_samples": 50_000, "checkpoint_rule": "last", "epoch": 100}
    return {
        **{
            "key": spec.key,
            "spec": spec.to_json(),
            "history": [{"epoch": 1, "train_loss": 1.0}],
            "environment": {"device": "cpu"},
            "tuning": None,
        },
        "accuracy": {**accuracy, "others": dict(zip(("sketch", "v2", "a", "r"), others, strict=True))},
        "params": {"method": 10, "head": 5, "trainable": 15, "backbone": 100, "task_file_bytes": 60},
        "cost": {"train_seconds": 1.0},
    }


def test_our_rows_stand_beside_those_of_papers():
    numbers = {
        "lora": [(0.70, 0.2, 0.6, 0.07, 0.25), (0.72, 0.22, 0.6, 0.09, 0.27)],
        "linear": [(0.68, 0.1, 0.5, 0.1, 0.3)],
    }
    records = [made(name, one, seed) for name, seeds in numbers.items() for seed, one in enumerate(seeds)]
    table = beside.table(NAME, comparable(to_frame(records)))
    (ours,) = (
        row
        for row in table.cells.reset_index().to_dict("records")
        if row["source"] == "ours" and row["method"] == "lora"
    )
    shown = [ours[name] for name in ("imagenet", "sketch", "v2", "a", "r")]
    assert shown == ["71.0 ± 1.4", "21.0 ± 1.4", "60.0 ± 0.0", "8.0 ± 1.4", "26.0 ± 1.4"]


def test_the_command_writes_the_table_of_papers(tmp_path):
    assert leaderboard.main(["--published", NAME, "--results", str(tmp_path)]) == 0
    assert "| noah " in (tmp_path / "published/imagenet_dg.md").read_text()
