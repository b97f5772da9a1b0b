"""FGVC: class ids are numbered in their order, verify tells what a copy has, and a miniature runs end to end."""

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import data, run, suites
from benchmarks.files.frames import Frame
from benchmarks.files.root import Missing
from benchmarks.records import logits, store
from benchmarks.suites import fgvc
from tests.support.layout_files import write_fewshot, write_fgvc

pytestmark = pytest.mark.usefixtures("data_root")
SUITE = suites.get("fgvc")
QUICK = ["--backbone", "vit_nano", "--recipe", "epochs=1", "warmup_epochs=0"]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """Tables for sets of two classes."""
    for name, task in SUITE.tasks.items():
        few = replace(task, labels=("0", "1"), train=8, val=4, test=6)
        monkeypatch.setitem(SUITE.tasks, name, few)  # type: ignore[arg-type]


def test_the_table_is_that_of_the_paper():
    assert {task.name: (task.classes, task.train, task.val, task.test) for task in SUITE.tasks.values()} == {
        "cub": (200, 5394, 600, 5794),
        "nabirds": (555, 21536, 2393, 24633),
        "flowers": (102, 1020, 1020, 6149),
        "dogs": (120, 10800, 1200, 8580),
        "cars": (196, 7329, 815, 8041),
    }


@pytest.mark.parametrize("place", ["fgvc", "FGVC", "."])
@pytest.mark.usefixtures("small")
def test_sets_are_found_by_all_their_names(place, data_root):
    for name, images in fgvc.SETS.items():
        folder = data_root / place / images.folders[0 if place == "fgvc" else -1]
        write_fgvc(folder, images.below)
        assert len(SUITE.load(name, "val", frame=Frame(4))[0]) == 4
        folder.rename(folder.with_name(f"{folder.name} of {name}"))  # two sets have names in common


@pytest.mark.parametrize("ids", [(7, 30), (30, 7), ("7", "30")])
@pytest.mark.usefixtures("small")
def test_class_ids_are_numbered_in_their_sorted_order(ids, data_root):
    write_fgvc(data_root / "CUB_200_2011", ids=[int(one) for one in ids])
    for path in (data_root / "CUB_200_2011").glob("*.json"):
        kept = {name: type(ids[0])(one) for name, one in json.loads(path.read_text()).items()}
        path.write_text(json.dumps(kept))
    layout = fgvc.read("cub")
    expected = {str(one): i for i, one in enumerate(sorted(ids))}
    assert {(path.split("/")[1].lstrip("0").partition(".")[0], label) for path, label in layout.splits["test"]} == {
        (name, label) for name, label in expected.items()
    }


@pytest.mark.usefixtures("small")
def test_verify_tells_counts_and_leaks_of_a_copy_that_is_cut_in_another_way(data_root, capsys):
    folder = data_root / "fgvc/OxfordFlower"
    write_fgvc(folder, "", counts=(3, 1, 5))
    (folder / "007.bird/test_0.png").write_bytes((folder / "007.bird/train_0.png").read_bytes())
    assert data.main(["verify", "fgvc", "flowers"]) == 0
    out = capsys.readouterr().out
    assert "  this copy has 6 + 2 + 10 samples\n" in out
    leak = "1 images are in two splits: 007.bird/train_0.png and 007.bird/test_0.png"
    assert f"  OxfordFlower: {leak}\n" in out
    (folder / "030.bird/val_0.png").unlink()
    assert data.main(["verify", "fgvc", "flowers"]) == 2
    assert "1 of 18 images do not decode" in capsys.readouterr().err


@pytest.mark.parametrize(("split", "samples"), [("train", 8), ("trainval", 12)])
@pytest.mark.usefixtures("small")
def test_a_miniature_passes_verify_and_trains_on_either_split(split, samples, data_root, tmp_path):
    names = ["linear", "lora", "adapterx"] if split == "train" else ["linear"]
    write_fgvc(data_root / "fgvc/Stanford-dogs", "Images/")
    assert data.main(["verify", "fgvc", "dogs"]) == 0
    asked = ["--suite", "fgvc", "--tasks", "dogs", "--methods", *names, *QUICK]
    assert run.main([*asked, f"train_split={split}", "--workers", "1", "--results", str(tmp_path / "r")]) == 0
    records = list(store.records(tmp_path / "r"))
    assert {record["spec"]["method"] for record in records} == set(names)
    assert all((record["accuracy"]["val"] is not None) == (split == "train") for record in records)
    files = logits.find(tmp_path / "r", records[0]).files
    assert len(files) == 6 and all((data_root / file).is_file() for file in files)
    parts = ["train", "val"] if split == "trainval" else ["train"]
    assert len(torch.cat([SUITE.load("dogs", part, frame=Frame(4))[1] for part in parts])) == samples


@pytest.mark.usefixtures("small")
def test_a_folder_of_the_same_name_of_another_suite_is_passed_over(data_root):
    write_fewshot(data_root / "fgvc/oxford_flowers", shots=(1,))
    write_fgvc(data_root / "flowers", "")
    assert fgvc.find("flowers") == data_root / "flowers"
    assert fgvc.faults("flowers") == []


def test_missing_data_name_the_folders_and_a_dry_run_needs_none(data_root, capsys):
    with pytest.raises(Missing, match=f"{data_root}.*CUB_200_2011 or CUB-200-2011 or cub.*--data-root"):
        SUITE.fingerprint("cub")
    assert run.main(["--suite", "fgvc", "--tasks", "cub", "--methods", "linear", *QUICK, "--dry-run"]) == 0
    assert "1 runs, about" in capsys.readouterr().out
    assert data.main(["fetch", "fgvc"]) == 2
    assert str(data_root / "fgvc") in capsys.readouterr().err
