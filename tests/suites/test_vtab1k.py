"""VTAB-1K: its table is the published one, folders may have several names, and a wrong set is an error."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks import data, suites
from benchmarks.files.frames import Frame
from benchmarks.files.root import Missing
from benchmarks.suites import checking, vtab1k
from benchmarks.sweeps import grid, sweep
from methods.errors import UserError
from tests.support.layout_files import write_image, write_lists

pytestmark = pytest.mark.usefixtures("data_root")
SUITE = suites.get("vtab1k")
COUNTS = (6, 3, 5)

# classes, test samples: those of the public VTAB-1K sets
PUBLISHED = {
    "natural": {
        **{"cifar100": (100, 10000), "caltech101": (102, 6084), "dtd": (47, 1880), "flowers102": (102, 6149)},
        **{"pets": (37, 3669), "svhn": (10, 26032), "sun397": (397, 21750)},
    },
    "specialized": {"camelyon": (2, 32768), "eurosat": (10, 5400), "resisc45": (45, 6300), "retinopathy": (5, 42670)},
    "structured": {
        **{"clevr_count": (8, 15000), "clevr_dist": (6, 15000), "dmlab": (6, 22735), "kitti": (4, 711)},
        **{"dsprites_loc": (16, 73728), "dsprites_ori": (16, 73728)},
        **{"smallnorb_azi": (18, 12150), "smallnorb_ele": (9, 12150)},
    },
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    """Tables for sets of a few images."""
    for name, task in SUITE.tasks.items():
        few = dict(zip(("train", "val", "test"), COUNTS, strict=True))
        monkeypatch.setitem(SUITE.tasks, name, replace(task, **few))  # type: ignore[arg-type, misc, attr-defined]


def write_all(place: Path, alias: int):
    for name, folders in vtab1k.FOLDERS.items():
        classes = SUITE.tasks[name].classes
        write_lists(place / folders[min(alias, len(folders) - 1)], min(classes, 3), COUNTS, highest=classes - 1)


def test_the_table_is_the_published_one():
    table = {
        group: {task.name: (task.classes, task.test) for task in SUITE.tasks.values() if task.group == group}
        for group in ("natural", "specialized", "structured")
    }
    assert table == PUBLISHED
    assert len(SUITE.tasks) == 19
    assert {(task.train, task.val, task.modality) for task in SUITE.tasks.values()} == {(800, 200, "image")}


def test_the_recipe_is_that_of_the_papers():
    (recipe,) = grid.recipes(SUITE.recipes["image"], {})
    asked = {"epochs": 100, "batch_size": 64, "warmup_epochs": 10, "drop_path": 0.1, "augment": "none"}
    asked |= {"normalization": "checkpoint", "label_smoothing": 0.0, "checkpoint_rule": "last"}
    asked |= {"train_split": "trainval"}
    assert {name: getattr(recipe, name) for name in asked} == asked
    assert SUITE.backbones == {"image": "vit_base_patch16_224.orig_in21k"}


@pytest.mark.parametrize(("below", "alias"), [("vtab-1k", 0), ("", 1), ("", 2)])
@pytest.mark.usefixtures("small")
def test_all_tasks_are_found_by_their_names(below, alias, data_root):
    write_all(data_root / below, alias)
    for name, task in SUITE.tasks.items():
        images, labels = SUITE.load(name, "test", frame=Frame(4))
        assert images.shape == (COUNTS[2], 3, 4, 4)
        assert int(labels.max()) == task.classes - 1
        files = SUITE.files(name, "test")
        assert len(files) == len(labels) and all((data_root / file).is_file() for file in files)
        assert torch.equal(images, SUITE.load(name, "test", frame=Frame(4))[0])


@pytest.mark.usefixtures("small")
def test_verify_passes_a_whole_set_and_shows_its_counts(data_root, capsys):
    for name, folders in vtab1k.FOLDERS.items():
        write_lists(data_root / folders[0], min(SUITE.tasks[name].classes, 5), COUNTS)
    several = {name: task for name, task in SUITE.tasks.items() if task.classes > 5}
    faults = checking.all_faults(SUITE, list(SUITE.tasks))
    assert len(faults) == len(several)  # of so few images that classes have none
    assert all("no sample of class" in line for line in faults)
    for name in several:
        (data_root / vtab1k.FOLDERS[name][0] / "test.txt").unlink()
    assert data.main(["verify", "vtab1k"]) == 2
    assert "no test.txt" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_missing_data_name_the_folders_and_the_ways_out(data_root):
    with pytest.raises(Missing, match=f"{data_root}.*oxford_iiit_pet or oxford_pet.*fetch vtab1k.*--data-root"):
        SUITE.fingerprint("pets")


@pytest.mark.parametrize(
    ("counts", "highest", "part"),
    [
        ((5, 3, 5), 36, "train800.txt: lists 5 images, but pets has 6"),
        ((6, 4, 5), 36, "val200.txt: lists 4 images, but pets has 3"),
        ((6, 3, 4), 36, "test.txt: lists 4 images, but pets has 5"),
        ((6, 3, 5), 37, "train800.txt: label 37, but pets has 0 to 36"),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_short_or_wrong_set_is_named(counts, highest, part, data_root, complaint):
    folder = data_root / "vtab-1k" / "oxford_iiit_pet"
    write_lists(folder, 3, counts, highest=highest)
    with pytest.raises(UserError) as caught:
        SUITE.fingerprint("pets")
    assert str(caught.value).startswith(f"{folder / part.split(':')[0]}:") and part in str(caught.value)
    line = complaint(data.main, "verify", "vtab1k")
    assert part in line and "no data of 18 of 19 tasks" in line


@pytest.mark.usefixtures("small")
def test_verify_lists_everything_that_is_wrong(data_root):
    folder = data_root / "patch_camelyon"
    write_lists(folder, 2, COUNTS)
    assert vtab1k.faults("camelyon") == []
    (folder / "images/train/000001.png").write_text("no image")
    (folder / "images/test/000002.png").unlink()
    listing = folder / "test.txt"
    listing.write_text(listing.read_text().replace("images/test/000000.png", "images/train/000000.png"))
    (folder / "train800val200.txt").write_text("images/train/000000.png 0\n")
    shared, lists, broken = vtab1k.faults("camelyon")
    assert shared == "patch_camelyon: 1 images of train are also in test: images/train/000000.png"
    assert "train800val200.txt is not train800.txt and val200.txt together: 8 lines differ" in lists
    assert "2 of 13 images do not decode" in broken
    assert "000001.png: it is no image of a known format" in broken and "000002.png: No such file" in broken


@pytest.mark.usefixtures("small")
def test_only_the_tasks_asked_for_are_needed(data_root):
    write_lists(data_root / "dtd", 3, COUNTS)
    recipe = {"epochs": 1, "warmup_epochs": 0}
    asked = sweep.Sweep(methods=("linear",), suite="vtab1k", tasks=("dtd",), backbone=("vit_nano",), recipe=recipe)
    (spec,) = sweep.specs(asked, "float32")
    assert (spec.suite, spec.task, spec.classes) == ("vtab1k", "dtd", 47)
    assert spec.data_fingerprint == SUITE.fingerprint("dtd")


@pytest.mark.usefixtures("small")
def test_list_says_which_data_are_missing_or_wrong(data_root, capsys, monkeypatch):
    for other in {*suites.SUITES} - {"vtab1k"}:
        monkeypatch.delitem(suites.SUITES, other)
    write_lists(data_root / "dtd", 3, COUNTS)
    write_lists(data_root / "eurosat", 3, (1, 1, 1))
    assert data.main(["list"]) == 0
    out = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert SUITE.fingerprint("dtd")[:12] in out
    assert out.count("not below") == 17
    assert out.count("verify vtab1k") == 1


@pytest.mark.usefixtures("small")
def test_show_draws_a_task_of_many_classes(data_root, tmp_path):
    write_lists(data_root / "cifar", 3, COUNTS)
    write_image(data_root / "cifar" / "images/train/000000.png", 1)
    path = tmp_path / "sheet.png"
    assert data.main(["show", "cifar100", "--suite", "vtab1k", "--data-root", str(data_root), "-o", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
