"""The guides work as they are printed, and the citation is the same everywhere."""

import contextlib
import csv
import io
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from PIL import Image

from benchmarks import __main__ as console
from benchmarks import __version__, backbones
from tests.test_documents import commands

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "benchmarks" / "README.md").read_text()
GUIDE = re.findall(r"^## Own photos to ONNX$(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)[0]
COLOURS = {"moss": (40, 110, 50), "rust": (160, 70, 30), "sky": (90, 150, 220)}
PER_CLASS = 10


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """DeiT-Ti's weights where the hub's library keeps what it has downloaded."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))  # which the processes of runs read
    folder = tmp_path / "hub" / "models--timm--deit_tiny_patch16_224.fb_in1k"
    snapshot = folder / "snapshots" / "1"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("1")
    shutil.copy(Path(os.environ["PEFT_BENCH_REALDATA"], "deit_tiny_patch16_224", "model.safetensors"), snapshot)
    for known in (backbones.source, backbones.resampled):
        known.cache_clear()
    yield
    for known in (backbones.source, backbones.resampled):
        known.cache_clear()


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Photos of three classes below ``photos``, and one of each below ``new-photos``, whose classes are returned."""
    monkeypatch.chdir(tmp_path)
    truth = {}
    for name, colour in COLOURS.items():
        Path("photos", name).mkdir(parents=True)
        Path("new-photos").mkdir(exist_ok=True)
        for number in range(PER_CLASS + 1):
            noise = Image.effect_noise((60 + number, 50), 60)
            picture = Image.composite(Image.new("RGB", noise.size, colour), noise.convert("RGB"), noise)
            new = Path("new-photos", f"{name}.jpg")
            picture.save(new if number == PER_CLASS else Path("photos", name, f"{number}.jpg"))
        truth[new.name] = name
    return truth


@pytest.mark.slow
@pytest.mark.skipif("PEFT_BENCH_REALDATA" not in os.environ, reason="PEFT_BENCH_REALDATA is not set")
@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs ONNX: pip install 'peft-vision-bench[onnx]'")
def test_the_whole_guide_from_own_photos_to_onnx_runs(weights, photos):
    printed = commands(GUIDE)
    assert [words[0] for words in printed] == ["data", "data", "run", "runs", "report", "predict", "export"]
    for verb, *words in printed:
        assert console.main([verb, *words]) == 0, (verb, words)
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(program, {})
    found = dict(line.split() for line in told.getvalue().splitlines())
    with open("classes.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["rank"] == "1"]
    assert found == {Path(row["file"]).name: row["class"] for row in rows} == photos
    assert {path.name for path in Path("exported").iterdir()} == {"config.json", "model.safetensors"}


def test_the_citation_is_complete_and_the_same_in_the_readme():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "version", "license", "abstract", "references"} <= set(cited)
    assert cited["version"] == __version__
    (entry,) = re.findall(r"```bibtex\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    fields = dict(re.findall(r"(\w+) = \{+(.*?)\}+,?\n", entry))
    assert (fields["title"], fields["version"]) == (cited["title"], cited["version"])
    assert fields["author"] == cited["authors"][0]["name"]
