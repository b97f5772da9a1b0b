"""Predictions on files and in Python: the bare model's classes for photos of any size and turn, and refusals."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file

from benchmarks import export, load_images, load_model, predict, run
from benchmarks.backbones.images import vit_nano
from benchmarks.files import contents
from benchmarks.files.coordinates import in_unit_sphere
from benchmarks.files.farthest import farthest_first
from benchmarks.files.root import DATA_ROOT
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from benchmarks.training import model, task_files
from methods.errors import UserError
from tests.support.layout_files import write_image_folder

SIZES = [(20, 12), (47, 90), (32, 32), (64, 31), (9, 200), (100, 100), (33, 32), (5, 7)]
CLASSES = ("cat", "dog", "=owl")
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results`` of one run on three classes, and eight ``photos``, one per turn of EXIF."""
    folder = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(contents.CACHE, str(folder / "cache"))
        patch.setenv(DATA_ROOT, str(folder / "mine"))
        write_image_folder(folder / "mine/pets", CLASSES)
        quick = ["--recipe", "epochs=2", "warmup_epochs=0", "--results", str(folder / "results")]
        assert run.main(["--suite", "folder", "--methods", "lora", *quick]) == 0
    rng = np.random.default_rng(0)
    for turn, size in enumerate(SIZES, 1):
        place = folder / "photos" / ("deep" if turn % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = turn
        grey = rng.integers(0, 200)
        pixels = rng.integers(grey, grey + 56, (*size, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(place / f"{turn}.{'png' if turn < 5 else 'JPG'}", exif=exif)
    (folder / "photos/.hidden").mkdir()
    (folder / "photos/.hidden/x.jpg").write_text("no image")
    (folder / "photos/notes.txt").write_text("no image")
    return folder


@pytest.fixture
def task_file(trained: Path) -> Path:
    return next((trained / "results/adapters").rglob("*.safetensors"))


def photos(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "photos").rglob("[0-9].*"))


def bare(task_file: Path, paths: list[Path], out: Path) -> torch.Tensor:
    """Probabilities of timm's class with the exported weights, on pictures that Pillow alone has turned and resized."""
    assert export.main([str(task_file), "-o", str(out)]) == 0
    with safe_open(out, framework="pt") as file:
        card = file.metadata()
    net = vit_nano()
    net.reset_classifier(int(card["num_classes"]))
    net.load_state_dict(load_file(out))
    mean, std = (torch.tensor(json.loads(card[name])).view(3, 1, 1) for name in ("mean", "std"))
    side = int(card["image_size"])
    upright = [ImageOps.exif_transpose(Image.open(path)).convert("RGB") for path in paths]
    squares = [np.asarray(one.resize((side, side), Image.Resampling.BICUBIC)) for one in upright]
    x = torch.stack([torch.from_numpy(square.copy()).movedim(-1, 0) / 255 for square in squares])
    with torch.inference_mode():
        return net.eval()((x - mean) / std).softmax(dim=1)


def test_photos_of_any_size_and_turn_get_the_classes_of_the_bare_model(trained, task_file, tmp_path):
    out, paths = tmp_path / "out.csv", photos(trained)
    argv = ["lora", str(trained / "photos"), str(paths[3]), "--results", str(trained / "results"), "-o", str(out)]
    assert predict.main(argv) == 0
    rows = list(csv.DictReader(out.open()))
    labels = sorted(CLASSES)
    got = np.zeros((len(paths), len(labels)))
    for row in rows:
        got[paths.index(Path(row["file"])), labels.index(row["class"].removeprefix("'"))] = float(row["probability"])
    assert len(rows) == len(paths) * 3 and {row["class"] for row in rows} == {"cat", "dog", "'=owl"}
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * len(paths)
    expected = bare(task_file, paths, tmp_path / "m.safetensors").numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.array_equal(got.argmax(axis=1), expected.argmax(axis=1))


def test_a_task_file_tells_its_classes_on_screen_and_as_json(trained, task_file, tmp_path, capsys):
    out, photo = tmp_path / "deep/out.json", str(photos(trained)[0])
    assert predict.main([str(task_file), photo, "--topk", "2", "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"written: {out}, with 1 predictions\nnext: open {out}\n"
    ((first, second),) = [one["classes"] for one in json.loads(out.read_text()) if one["file"] == photo]
    assert first["probability"] >= second["probability"] and {first["name"], second["name"]} < set(CLASSES)
    assert predict.main([str(task_file), photo, "--topk", "1"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{photo}: {first['name']} {first['probability']:.1%}\n" and shown.err == ""


def test_an_older_task_file_names_classes_by_their_numbers(trained, task_file, tmp_path, capsys):
    old, photo = tmp_path / "old.safetensors", str(photos(trained)[0])
    task_files.save(task_files.load(task_file), replace(task_files.read(task_file)[0], labels=None), old)
    assert predict.main([str(old), photo, "-o", str(tmp_path / "out.json")]) == 0
    assert capsys.readouterr().err.startswith(f"warning: {old} was written before names of classes were kept; ")
    (one,) = json.loads((tmp_path / "out.json").read_text())
    assert {likely["name"] for likely in one["classes"]} == {"0", "1", "2"}


def test_pictures_arrays_and_tensors_of_any_size_are_one_batch(trained, task_file):
    tuned, paths = load_model(task_file), photos(trained)
    assert tuned.frame is not None
    opened = [Image.open(path) for path in paths]
    files = load_images(paths, tuned.frame)
    expected = tuned.probabilities(files)
    torch.testing.assert_close(tuned.probabilities(opened), expected)
    assert torch.equal(tuned.predict(opened), expected.argmax(dim=1))
    torch.testing.assert_close(tuned.probabilities([square for square in files]), expected)
    torch.testing.assert_close(tuned.probabilities(files.movedim(1, -1).numpy()), expected)
    normalised = (files / 255 - tuned.mean) / tuned.std
    torch.testing.assert_close(tuned.probabilities(normalised.double()), expected)
    large = torch.randint(0, 256, (2, 3, 50, 41), dtype=torch.uint8)
    mixed = [opened[0], large[0], large[1].movedim(0, -1).numpy()]
    resized = tuned.probabilities(tuned.normalized(large))
    torch.testing.assert_close(tuned.probabilities(mixed), torch.cat([expected[:1], resized]))


UNIT = torch.rand(1, 3, 32, 32)
WRONG: dict[str, tuple[object, str]] = {
    "floats of 0 to 255": (UNIT * 255, r"float images go from .* to 2.*, as if they were not normalised with mean .*"),
    "floats of 0 to 1": (UNIT, r"float images go from .*, as if they were not normalised with mean .*; give uint8 .*"),
    "a NaN": (UNIT * float("nan"), "float images have values that are not finite; give uint8 images, .*"),
    "floats of another size": (
        torch.zeros(3, 40, 32),
        "float images are 40 x 32 pixels, but the model takes 32 x 32.*",
    ),
    "whole numbers": (torch.zeros(3, 32, 32, dtype=torch.int64), "images are int64, not uint8 or floats; give .*"),
    "a tensor with the colours last": (
        torch.zeros(32, 32, 3, dtype=torch.uint8),
        r"images have the shape \(32, 32, 3\), not \(3, H, W\) or \(B, 3, H, W\)",
    ),
    "an array with the colours first": (
        np.zeros((3, 32, 32), np.uint8),
        r".* not \(H, W, 3\) or \(B, H, W, 3\), as .*",
    ),
    "no image": (torch.zeros(0, 3, 32, 32), r"images have the shape \(0, 3, 32, 32\), not .*"),
    "an empty list": ([], "the list of samples is empty; give one or more"),
    "a path": ("a.jpg", "images are of type str; give pictures of Pillow, arrays or tensors"),
    "an array of texts": (np.array(["a"]), "images are an array of <U1; give numbers"),
    "a deep picture": (Image.new("I", (4, 4)), "cannot decode the image: it has I pixels with more than 8 bits .*"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_model_of_images_cannot_take_is_one_line(name, task_file):
    given, line = WRONG[name]
    with pytest.raises(UserError, match=f"^{line}$"):
        load_model(task_file).predict(given)  # type: ignore[arg-type]


@pytest.fixture
def solids(tmp_path: Path) -> tuple[Path, Spec]:
    (spec,) = sweep.specs(sweep.Sweep(methods=("lora",), tasks=("solids",)), "float32")
    torch.manual_seed(0)
    task_files.save(model.build(spec), spec, tmp_path / "solids.safetensors")
    return tmp_path / "solids.safetensors", spec


def test_clouds_are_predicted_whatever_their_unit_and_origin(solids, tmp_path):
    x = np.random.default_rng(0).normal(size=(35, 300, 3))
    for name, points in {"a": x, "b": x * 2000 + 77}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = points  # without labels
    assert predict.main([str(solids[0]), str(tmp_path), "-o", str(tmp_path / "out.json"), "--topk", "1"]) == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert [one["file"] for one in found] == [f"{tmp_path}/{name}.h5:{i}" for name in "ab" for i in range(35)]
    assert [one["classes"][0]["name"] for one in found[:35]] == [one["classes"][0]["name"] for one in found[35:]]
    unit = x - x.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=2).max(axis=1)[:, None, None]
    tuned = load_model(solids[0])
    assert tuned.labels is not None
    names = [tuned.labels[i] for i in tuned.predict(unit)]
    assert [one["classes"][0]["name"] for one in found[:35]] == names
    assert tuned.predict([unit[0], torch.from_numpy(unit[1])]).tolist() == tuned.predict(unit[:2]).tolist()


@pytest.mark.parametrize(("suite", "count"), [("scanobjectnn", 300), ("modelnet40", 1100)])
def test_clouds_are_read_as_the_test_of_the_suite_reads_them(suite, count, solids, tmp_path):
    path, spec = solids
    x = np.random.default_rng(0).normal(3, 2, size=(40, count, 3)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = x
    seen = x if suite == "scanobjectnn" else farthest_first(in_unit_sphere(tmp_path, x), 1024)[:, :1024]
    task_files.save(task_files.load(path), replace(spec, suite=suite), tmp_path / "other.safetensors")
    argv = [str(tmp_path / "other.safetensors"), str(tmp_path / "a.h5"), "-o", str(tmp_path / "out.json")]
    assert predict.main([*argv, "--topk", "1"]) == 0
    found = [one["classes"][0] for one in json.loads((tmp_path / "out.json").read_text())]
    expected = load_model(path).probabilities(torch.from_numpy(seen)).max(dim=1).values
    assert [one["probability"] for one in found] == pytest.approx(expected.tolist(), abs=1e-5)
    assert max(expected) - min(expected) > 1e-3


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (np.zeros((2, 64, 4)), r"clouds have the shape \(2, 64, 4\), not \(N, 3\) or \(B, N, 3\)"),
        (np.zeros((64, 3), int), "clouds are int64, not floats"),
        ([np.zeros((64, 3)), np.zeros((65, 3))], r"a list has samples of the shapes \(64, 3\) and \(65, 3\); .*"),
        (Image.new("RGB", (4, 4)), "clouds are of type Image; give arrays or tensors of points"),
    ],
)
def test_what_a_model_of_points_cannot_take_is_one_line(given, line, solids):
    with pytest.raises(UserError, match=f"^{line}$"):
        load_model(solids[0]).predict(given)


def test_clouds_of_too_few_points_and_models_of_parts_are_refused(solids, tmp_path, complaint):
    path, spec = solids
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.random.default_rng(0).normal(size=(2, 5, 3))
    line = complaint(predict.main, str(path), str(tmp_path / "a.h5"))
    assert line.startswith(f"{tmp_path}/a.h5 has clouds of 5 points, but point_nano needs ")
    task_files.save(task_files.load(path), replace(spec, kind="segmentation"), tmp_path / "parts.safetensors")
    line = complaint(predict.main, str(tmp_path / "parts.safetensors"), str(tmp_path / "a.h5"))
    assert line.startswith(
        "lora on solids, seed 0 has a label for every point, and this verb tells one class per file;"
    )
