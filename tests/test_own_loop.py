"""The lines for a training loop of one's own work as printed, on a model of every family that the method fits."""

import re
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F

from tests.support import tiny

PAGE = Path(__file__).parents[1] / "benchmarks" / "backbones" / "README.md"
CODE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
BUILD, SAVE, LOAD = re.split(r"^(?=save_file|model\.load)", CODE, flags=re.MULTILINE)


@pytest.fixture(params=["image", "eva", "swin"])
def family(request, tmp_path, monkeypatch):
    """A small model of a family comes in place of timm's, and files are written to an empty folder."""
    monkeypatch.setattr(timm, "create_model", lambda name, **given: tiny.backbone(request.param))
    monkeypatch.chdir(tmp_path)
    return request.param


def built(seed=0):
    torch.manual_seed(seed)
    names = {}
    exec(BUILD, names)
    return names


def step(names):
    """Train as the comment in the lines says."""
    model, method = names["model"].train(), names["method"]
    method.loss(model, tiny.inputs("image"), torch.tensor([0, 1, 2, 9]), F.cross_entropy).backward()
    names["optimizer"].step()
    model.eval()


def test_a_step_changes_the_head_and_what_the_method_trains_alone(family):
    names = built()
    model, method = names["model"], names["method"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    step(names)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    unfrozen = {f"backbone.{name}" for name in method.unfrozen(names["backbone"])}
    own = {f"method.{name}" for name, _ in method.named_parameters()} | {"head.weight", "head.bias"}
    assert {"head.weight", "head.bias"} < changed <= own | unfrozen
    given = {id(weight) for group in names["optimizer"].param_groups for weight in group["params"]}
    assert given == {id(weight) for name, weight in model.named_parameters() if name in own | unfrozen}


def test_what_was_trained_comes_back_into_a_new_model(family):
    names, x = built(), tiny.inputs("image")
    step(names)
    exec(SAVE, names)
    again = built(seed=1)
    assert not torch.equal(again["model"].eval()(x), names["model"](x))
    exec(LOAD, again)
    assert torch.equal(again["model"](x), names["model"](x))
