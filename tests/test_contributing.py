"""The example of CONTRIBUTING.md works as printed: it wires, trains, and joins the table through its entry point."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

import methods
from benchmarks.training.model import Classifier
from methods.base import Config

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
DIM, DEPTH, CLASSES = 12, 2, 3


def block(language: str) -> str:
    """The one fenced block of a language."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


@pytest.fixture
def film(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The example as an installed package: its module and its metadata, as its own pyproject names them."""
    project = tomllib.loads(block("toml"))
    (name,) = project["tool"]["setuptools"]["py-modules"]
    (tmp_path / f"{name}.py").write_text(block("python"))
    info = tmp_path / f"{name}-{project['project']['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['project']['name']}\nVersion: 0.1.0\n")
    points = project["project"]["entry-points"][methods.ENTRY_POINT_GROUP]
    lines = [f"[{methods.ENTRY_POINT_GROUP}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    methods.installed.cache_clear()
    yield import_module(name)
    methods.installed.cache_clear()
    sys.modules.pop(name, None)


def tiny_vit() -> VisionTransformer:
    torch.manual_seed(0)
    return VisionTransformer(img_size=8, patch_size=4, embed_dim=DIM, depth=DEPTH, num_heads=2, num_classes=0).eval()


def test_it_joins_the_table_through_its_entry_point(film: ModuleType) -> None:
    assert set(methods.table()) == {*methods.METHODS, "film"}
    assert methods.get("film") is film.FiLM


def test_it_starts_as_the_frozen_backbone_and_counts_two_vectors_a_block(film: ModuleType) -> None:
    vit, x = tiny_vit(), torch.rand(2, 3, 8, 8)
    before = vit(x)
    method = methods.build("film", vit, methods.config("film", {}))
    assert sum(p.numel() for p in method.parameters()) == 2 * DIM * DEPTH
    assert torch.equal(vit(x), before)
    method.modulations[0].shift.data.fill_(1.0)
    assert not torch.equal(vit(x), before)
    method.detach()
    assert torch.equal(vit(x), before)


def test_a_step_trains_its_weights_and_the_head_and_nothing_else(film: ModuleType) -> None:
    vit = tiny_vit()
    model = Classifier(vit, film.FiLM(vit, Config()), nn.Linear(DIM, CLASSES)).train()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.method.param_groups(model), lr=1e-2)
    x, y = torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    model.method.loss(model, x, y, nn.CrossEntropyLoss()).backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    new = {f"method.modulations.{i}.{part}" for i in range(DEPTH) for part in ("scale", "shift")}
    assert changed == {*new, "head.weight", "head.bias"}


def test_a_taken_name_is_refused(film: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(methods.METHODS, "film", "methods.film:FiLM")
    with pytest.raises(ValueError, match=r"method 'film' of peft_bench_film:FiLM is already methods\.film:FiLM"):
        methods.table()
