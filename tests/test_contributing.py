"""The examples of CONTRIBUTING.md work as printed: a method and a suite, each installed through its entry point."""

import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import methods
from benchmarks import backbones, data, run, suites
from benchmarks.records import store
from benchmarks.suites import checking
from benchmarks.training.model import Classifier
from methods.base import Config
from methods.errors import UserError
from tests.support.packages import installed

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
DIM, DEPTH, CLASSES = 12, 2, 3


def block(section: str, language: str) -> str:
    """The one fenced block of a language in a section."""
    (text,) = re.findall(rf"^## {section}$(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE)
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


@contextmanager
def example(section: str, registry: Any, place: Path) -> Iterator[ModuleType]:
    """The example of a section as an installed package, with the module and entry point that its pyproject names."""
    project = tomllib.loads(block(section, "toml"))
    (name,) = project["tool"]["setuptools"]["py-modules"]
    entries = project["project"]["entry-points"][registry.ENTRY_POINT_GROUP]
    with installed(registry, place, entries, {f"{name}.py": block(section, "python")}):
        yield import_module(name)


@pytest.fixture
def modulate(tmp_path: Path) -> Iterator[ModuleType]:
    with example("Add a method", methods, tmp_path) as module:
        yield module


@pytest.fixture
def ink(tmp_path: Path) -> Iterator[ModuleType]:
    with example("Add a suite", suites, tmp_path) as module:
        yield module


def tiny_vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(img_size=8, patch_size=4, embed_dim=DIM, depth=DEPTH, num_heads=2, num_classes=0).eval()


def test_the_method_joins_the_table_through_its_entry_point(modulate):
    assert set(methods.table()) == {*methods.METHODS, "modulate"}
    assert methods.get("modulate") is modulate.Modulate


def test_the_method_starts_as_the_frozen_backbone_with_two_vectors_per_block(modulate):
    vit, x = tiny_vit(), torch.rand(2, 3, 8, 8)
    before = vit(x)
    method = methods.build("modulate", backbones.describe(vit), methods.config("modulate", {}))
    assert sum(p.numel() for p in method.parameters()) == 2 * DIM * DEPTH
    assert torch.equal(vit(x), before)
    method.modulations[0].shift.data.fill_(1.0)
    assert not torch.equal(vit(x), before)
    method.detach()
    assert torch.equal(vit(x), before)


def test_a_step_trains_the_methods_weights_and_the_head_alone(modulate):
    vit = tiny_vit()
    model = Classifier(vit, modulate.Modulate(backbones.describe(vit), Config()), nn.Linear(DIM, CLASSES)).train()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.method.param_groups(model), lr=1e-2)
    x, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    model.method.loss(model, x, y, nn.CrossEntropyLoss()).backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    new = {f"method.modulations.{i}.{part}" for i in range(DEPTH) for part in ("scale", "shift")}
    assert changed == {*new, "head.weight", "head.bias"}


def test_a_method_with_a_taken_name_is_refused(modulate, monkeypatch):
    monkeypatch.setitem(methods.METHODS, "modulate", "methods.modulate:Modulate")
    message = r"method 'modulate' of peft_bench_modulate:Modulate is already methods\.modulate:Modulate"
    with pytest.raises(ValueError, match=message):
        methods.table()


def test_the_suite_joins_the_table_through_its_entry_point(ink):
    assert suites.names() == [*suites.SUITES, "ink", suites.FOLDER]
    assert suites.get("ink") is ink.SUITE


def test_the_suites_clouds_are_the_digits_each_in_one_split(ink):
    assert checking.faults(ink.SUITE, "digits") == []
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    parts = [ink.SUITE.load("digits", split, frame=None) for split in ("train", "val", "test")]
    x, y = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    assert y.tolist() == digits.target[order[: len(y)]].tolist()
    assert x.norm(dim=2).amax(1).numpy() == pytest.approx(np.ones(len(x)), abs=1e-6)
    ink.splits.cache_clear()
    again = ink.splits()
    assert all(torch.equal(part[0], torch.from_numpy(again[name][0])) for name, part in zip(again, parts, strict=True))


def test_every_command_works_with_the_suite(ink, tmp_path, capsys):
    assert data.main(["verify", "ink"]) == data.main(["fetch", "ink"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "digits: 10 classes, 320 + 80 + 1000 samples" and out[3].startswith("ink needs no files")
    results = tmp_path / "results"
    assert run.main(["--suite", "ink", "--methods", "linear", "--results", str(results)]) == 0
    (record,) = store.records(results)
    assert record["accuracy"]["test"] > 0.3  # where chance is 0.1
    assert record["spec"]["data_fingerprint"] == suites.get("ink").fingerprint("digits")


@pytest.mark.parametrize(
    ("name", "place", "part"),
    [
        ("offline", "peft_bench_ink:SUITE", "is already benchmarks.suites.offline:SUITE; rename it"),
        ("folder", "peft_bench_ink:SUITE", "is already the suite of your own files; rename it"),
        ("ink", "peft_bench_nowhere:SUITE", "cannot be loaded from peft_bench_nowhere:SUITE: No module named"),
        ("ink", "peft_bench_ink:NOTHING", "cannot be loaded from peft_bench_ink:NOTHING"),
        ("ink", "peft_bench_ink:DIGITS", "peft_bench_ink:DIGITS is no Suite"),
        ("inks", "peft_bench_ink:SUITE", "has the name 'ink'; give it the entry point's name"),
    ],
)
def test_a_wrong_entry_point_is_one_line(name, place, part, ink, tmp_path, capsys):
    (entries,) = tmp_path.glob("*.dist-info/entry_points.txt")
    entries.write_text(f"[{suites.ENTRY_POINT_GROUP}]\n{name} = {place}\n")
    invalidate_caches()
    suites.installed.cache_clear()
    with pytest.raises(UserError) as raised:
        suites.get(name)
    assert f"suite '{name}'" in str(raised.value) and part in str(raised.value)
    assert data.main(["verify", name]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
