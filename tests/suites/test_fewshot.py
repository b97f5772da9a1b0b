"""Few-shot: its table is that of the published lists, every seed has its own lists, and a miniature runs end to end."""

import json
from dataclasses import asdict, replace

import pytest
import torch

from benchmarks import data, run, suites
from benchmarks.files.frames import Frame
from benchmarks.files.root import Missing
from benchmarks.records import store
from benchmarks.suites import fewshot
from benchmarks.sweeps import grid, sweep
from benchmarks.tuning import tuned
from methods.errors import UserError
from tests.support.layout_files import write_fewshot

pytestmark = pytest.mark.usefixtures("data_root")
SUITE = suites.get("fewshot")
PUBLISHED = {  # classes, val, test: those of the public lists
    **{"aircraft": (100, 3333, 3333), "food": (101, 20200, 30300), "flowers": (102, 1633, 2463)},
    **{"pets": (37, 736, 3669), "cars": (196, 1635, 8041)},
}
QUICK = ["--backbone", "vit_nano", "--recipe", "epochs=1", "warmup_epochs=0"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """Tables for sets of three classes."""
    for name, task in SUITE.tasks.items():
        twice = 2 if name == "pets@1" else 1
        few = replace(task, labels=("0", "1", "2"), train=3 * task.shots * twice, val=6, test=9)
        monkeypatch.setitem(SUITE.tasks, name, few)  # type: ignore[arg-type]


def test_the_table_is_that_of_the_published_lists():
    assert [(task.name, task.shots) for task in SUITE.tasks.values()] == [
        (f"{name}@{shots}", shots) for shots in (1, 2, 4, 8, 16) for name in PUBLISHED
    ]
    for task in SUITE.tasks.values():
        name = task.name.partition("@")[0]
        assert (task.classes, task.val, task.test) == PUBLISHED[name]
        assert task.train == (74 if task.name == "pets@1" else task.classes * task.shots)


def test_the_recipe_is_that_of_the_published_rows():
    (recipe,) = grid.recipes(SUITE.recipe("food@4"), {})
    asked = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "label_smoothing": 0.1, "rand_augment": 9}
    asked |= {"color_jitter": 0.4, "random_erasing": 0.25, "train_split": "train", "checkpoint_rule": "last"}
    assert {name: getattr(recipe, name) for name in asked} == asked


@pytest.mark.parametrize(("place", "alias"), [("few-shot", 0), ("fewshot", 1), (".", 1)])
@pytest.mark.usefixtures("small")
def test_sets_are_found_by_all_their_names(place, alias, data_root):
    for name, images in fewshot.SETS.items():
        write_fewshot(data_root / place / images.folders[alias], images.below, shots=(1,), twice=name == "pets")
        assert [len(SUITE.load(f"{name}@1", split, frame=Frame(4))[0]) for split in ("val", "test")] == [6, 9]
        assert all((data_root / file).is_file() for file in SUITE.files(f"{name}@1", "test"))


@pytest.mark.usefixtures("small")
def test_every_seed_has_its_own_training_samples_and_the_same_test_samples(data_root):
    write_fewshot(data_root / "fgvc-aircraft")
    loads = [SUITE.of_seed(seed).load for seed in (0, 1)]
    first, second = (load("aircraft@2", "train", frame=Frame(4)) for load in loads)
    assert first[1].tolist() == second[1].tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(first[0][1::2], second[0][::2])  # seed 0 draws 0 and 1 of every class, seed 1 draws 1 and 2
    assert not torch.equal(first[0], second[0])
    assert torch.equal(*(load("aircraft@2", "test", frame=Frame(4))[0] for load in loads))
    asked = sweep.Sweep(
        methods=("linear",), suite="fewshot", tasks=("aircraft@2",), backbone=("vit_nano",), seeds=(0, 1)
    )
    prints = {spec.seed: spec.data_fingerprint for spec in sweep.specs(asked, "float32")}
    assert prints == {seed: SUITE.of_seed(seed).fingerprint("aircraft@2") for seed in (0, 1)}
    assert prints[0] != prints[1]


@pytest.mark.usefixtures("small")
def test_options_tuned_on_the_lists_of_one_seed_serve_all_seeds(data_root, tmp_path):
    write_fewshot(data_root / "fgvc-aircraft")
    asked = {"methods": ("linear",), "suite": "fewshot", "tasks": ("aircraft@2",), "backbone": ("vit_nano",)}
    first, second = sweep.specs(sweep.Sweep(**asked, seeds=(0, 1)), "float32")
    found = {"study": "s", "trials": 1, "split": "val", "val_accuracy": 0.5, "fixed": [], "search_seed": 0}
    found |= {"config": {"lr": 0.5}, "recipe": asdict(first.recipe), "backbone": first.backbone.sha256}
    path = tuned.path(tmp_path, first)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(found | {"data_fingerprint": first.data_fingerprint}))
    assert [spec.config.lr for spec in tuned.apply([first, second], tmp_path)] == [0.5, 0.5]
    path.write_text(json.dumps(found | {"data_fingerprint": second.data_fingerprint}))
    with pytest.raises(UserError, match="was tuned with data_fingerprint"):
        tuned.apply([second], tmp_path)


@pytest.mark.usefixtures("small")
def test_a_seed_without_lists_is_one_line(data_root, complaint, tmp_path):
    write_fewshot(data_root / "fgvc-aircraft")
    asked = ["--suite", "fewshot", "--tasks", "aircraft@1", "--methods", "linear", "--seeds", "0", "3", *QUICK]
    line = complaint(run.main, *asked, "--results", str(tmp_path / "results"))
    lacking = f"no annotations/{fewshot.LISTS['train'].format(shots=1, seed=3)}; NOAH's lists have the seeds 0, 1 and 2"
    assert line.startswith(f"{data_root / 'fgvc-aircraft'}: {lacking}; ")


@pytest.mark.usefixtures("small")
def test_the_one_shot_lists_of_pets_hold_every_image_twice_and_so_it_is_trained(data_root):
    write_fewshot(data_root / "oxford-pets", twice=True)
    x, y = SUITE.load("pets@1", "train", frame=Frame(4))
    assert y.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(x[::2], x[1::2])
    assert fewshot.faults("pets@1") == fewshot.facts("pets@1") == []


@pytest.mark.usefixtures("small")
def test_verify_reports_leaks_and_refuses_faults(data_root, capsys):
    folder = data_root / "few-shot/oxford-flowers102"
    write_fewshot(folder)
    names = ["flowers@1", "flowers@2"]
    assert data.main(["verify", "fewshot", *names]) == 0
    assert "flowers@2: 3 classes, 6 + 6 + 9 samples\n" in capsys.readouterr().out
    leak = (folder / "images/train/a b/1_0.png").read_bytes()
    (folder / "images/test/a b/1_2.png").write_bytes(leak)
    assert data.main(["verify", "fewshot", *names]) == 0
    told = "  oxford-flowers102: 1 images are in two splits: images/train/a b/1_0.png and images/test/a b/1_2.png\n"
    assert capsys.readouterr().out.count(told) == 2
    (folder / "images/test/a b/1_2.png").write_bytes(b"text")
    listing = folder / "annotations/train_meta.list.num_shot_2.seed_2"
    listing.write_text(listing.read_text().partition("\n")[2])
    assert data.main(["verify", "fewshot", *names]) == 2
    err = capsys.readouterr().err
    assert f"{listing}: lists 5 images, but flowers@2 has 6" in err
    assert err.count("images do not decode") == 2  # once per task: its lists share the test images


@pytest.mark.usefixtures("small")
def test_a_miniature_trains_and_gets_its_table_and_figure(data_root, tmp_path, numbers):
    write_fewshot(data_root / "few-shot/standford-cars", "")
    tasks, results = ["cars@1", "cars@2"], tmp_path / "results"
    assert data.main(["verify", "fewshot", *tasks]) == 0
    asked = ["--suite", "fewshot", "--tasks", *tasks, "--methods", "linear", "lora", "adapterx", *QUICK]
    assert run.main([*asked, "--workers", "1", "--results", str(results)]) == 0
    records = list(store.records(results))
    ran = {(record["spec"]["task"], record["spec"]["method"]) for record in records}
    assert ran == {(task, method) for task in tasks for method in ("linear", "lora", "adapterx")}
    assert {record["accuracy"]["test_samples"] for record in records} == {9}
    assert all(record["history"][-1]["val_accuracy"] is not None for record in records)
    assert "### fewshot: accuracy against shots, image, vit_nano" in (results / "leaderboard.md").read_text()
    assert (results / "figures/shots.png").read_bytes().startswith(b"\x89PNG")
    before = numbers(results)
    again = ["--suite", "fewshot", "--tasks", "cars@1", "--methods", "adapterx", *QUICK, "--force"]
    assert run.main([*again, "--results", str(results)]) == 0
    assert numbers(results) == before  # to the bit, with all augmentations


def test_missing_data_name_the_folders_and_a_dry_run_needs_none(data_root, capsys):
    with pytest.raises(Missing, match=f"{data_root}.*oxford-pets or oxford_pets.*few-shot.*--data-root"):
        SUITE.fingerprint("pets@1")
    asked = ["--suite", "fewshot", "--tasks", "pets@1", "--methods", "linear", *QUICK]
    assert run.main([*asked, "--dry-run"]) == 0
    assert "1 runs, about" in capsys.readouterr().out
    assert data.main(["fetch", "fewshot"]) == 2
    assert str(data_root / "few-shot") in capsys.readouterr().err


def test_a_task_that_the_suite_lacks_is_one_line():
    with pytest.raises(UserError, match="unknown task 'pets@3'; did you mean 'pets@8'"):
        sweep.specs(sweep.Sweep(suite="fewshot", tasks=("pets@3",)), "float32", absent=True)
