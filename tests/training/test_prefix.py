"""Cached blocks and groups change no result."""

import os
from functools import partial
from typing import Any

import pytest
import torch
from timm.layers import DropPath
from torch import Tensor, nn

from benchmarks.backbones.points import PointTransformer
from benchmarks.training import prefix
from benchmarks.training.train import Trainer
from methods.noah import NOAH
from tests.support import tiny

EACH = pytest.mark.parametrize("modality", tiny.MODALITIES)


def load(modality: str, split: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(len(split))
    size = (6, 3, 32, 32) if modality == "image" else (6, 64, 3)
    return torch.rand(*size, generator=generator) * 2 - 1, torch.arange(6) % 3


def trainer(name: str, modality: str, options: dict[str, Any] | None = None, **recipe: Any) -> Trainer:
    settings = {"epochs": 3, "batch_size": 4, "warmup_epochs": 0, **recipe}
    return tiny.trainer_of(name, modality, partial(load, modality), {"lr": 1e-2, **(options or {})}, **settings)


def subnet(modality: str, **recipe: Any) -> Trainer:
    """A subnet of NOAH whose first module, prompts, is in block 1, and whose other modules are in block 2."""
    run = trainer("noah", modality, {"dropout": 0.0}, **recipe)
    noah = run.model.method
    assert isinstance(noah, NOAH)
    for modules in noah.nested():
        modules[0].resize(0)
    for family, width in ((noah.adapter, 0), (noah.lora, 0), (noah.prompts, 5)):
        family[1].resize(width)
    return run


def make(kind: str, modality: str, **recipe: Any) -> Trainer:
    if kind == "noah":
        return subnet(modality, **recipe)
    options = {"layers_to_transform": [2], "init_lora_weights": False} if kind == "hf:lora" else {}
    return trainer(kind, modality, options, **recipe)


@EACH
@pytest.mark.parametrize(("kind", "block"), [("linear", 3), ("hf:lora", 2), ("noah", 1)])
def test_training_from_cached_blocks_gives_the_same_results(kind, block, modality):
    kept, direct = make(kind, modality), make(kind, modality)
    samples = len(direct.x)
    kept.keep_prefix()
    assert kept.prefix == {"block": block, "bytes": kept.x.nbytes}
    width = {"image": tiny.WIDTH * 17, "points": 2 * tiny.WIDTH * 5}[modality]
    if kind == "linear":
        width = kept.model.backbone.head_hidden_size  # type: ignore[assignment]
    assert kept.x.nbytes == samples * width * 4
    for run in (kept, direct):
        torch.manual_seed(1)
        run.train()
    for one, other in zip(kept.history, direct.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)
    expected = direct.model.trained_state()
    for name, tensor in kept.model.trained_state().items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt", "femae"])
def test_other_point_backbones_go_on_from_cached_blocks(family):
    model, x = tiny.wire("linear", family), tiny.inputs("points")
    with torch.no_grad():
        entered = prefix.block_input(model, prefix.prepared(model, x), 2)
        torch.testing.assert_close(prefix.resumed(model, 2, entered), model(x))


def test_blocks_before_the_prefix_are_run_once():
    run = make("hf:lora", "image")
    calls = [0] * tiny.DEPTH

    def count(number: int, module: nn.Module, args: Any):
        calls[number] += 1

    for number, block in enumerate(run.model.backbone.blocks):  # type: ignore[arg-type]
        block.register_forward_pre_hook(partial(count, number))
    run.model.method.fit(run)
    assert calls[:2] == [2, 2]  # for the size of one sample, and for all
    assert calls[2] == 2 + 3 * 3  # and in every step
    assert run.model.method.report(run)["prefix"] == run.prefix


@pytest.mark.parametrize(("name", "modality"), [pair for pair in tiny.PAIRS if pair[0] != "linear"])
def test_a_method_that_changes_the_first_block_trains_on_inputs(name, modality):
    run = trainer(name, modality)
    run.keep_prefix()
    assert run.prefix == {}


@pytest.mark.parametrize(
    ("changed", "left"),
    [("blocks.1.norm1.weight", 1), ("cls_token", 0), ("norm.bias", 2), ("patch_embed.proj.bias", 0)],
)
def test_whatever_trains_in_the_backbone_ends_the_prefix(changed, left):
    run = make("linear", "image")
    assert prefix.unchanged_blocks(run.model) == tiny.DEPTH
    run.model.backbone.get_parameter(changed).requires_grad_(True)
    assert prefix.unchanged_blocks(run.model) == left


@pytest.mark.parametrize(("kind", "left"), [("hf:lora", 1), ("linear", tiny.DEPTH)])
def test_drop_path_ends_the_prefix_if_the_backbone_is_in_training_mode(kind, left):
    run = make(kind, "image")
    for block in run.model.backbone.blocks[1:]:  # type: ignore[index]
        block.drop_path2 = DropPath(0.1)
    assert prefix.unchanged_blocks(run.model) == left


@pytest.mark.parametrize(("augmentation", "share"), [("rotate", prefix.SHARE), ("none", 10**12)])
def test_nothing_is_cached_that_is_augmented_or_does_not_fit_into_memory(augmentation, share, monkeypatch):
    run = make("linear", "points", augment=augmentation)
    inputs = run.x
    monkeypatch.setattr(prefix, "SHARE", share)
    run.keep_prefix()
    assert run.prefix == {} and run.x is inputs


def test_a_cache_may_take_an_eighth_of_the_free_memory():
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert prefix.fits(free // 16, torch.device("cpu"))
    assert not prefix.fits(free // 4, torch.device("cpu"))


def test_groups_are_the_input_to_the_bit():
    body, x = tiny.backbone("points"), tiny.inputs("points")
    assert isinstance(body, PointTransformer)
    with torch.no_grad():
        assert torch.equal(body(body.prepare(x)), body(x))


@pytest.mark.parametrize(("augmentation", "shape"), [("none", (5, 3)), ("rotate", (5, 3)), ("scale_translate", (3,))])
def test_clouds_are_grouped_once_if_augmentation_keeps_distances(augmentation, shape, monkeypatch):
    run = trainer("lora", "points", augment=augmentation, train_split="train")
    assert run.x.shape[2:] == shape
    searched: list[int] = []
    original = PointTransformer.prepare
    monkeypatch.setattr(PointTransformer, "prepare", lambda self, x: searched.append(len(x)) or original(self, x))  # type: ignore[func-returns-value]
    run.train()
    # validation clouds once, and every batch of every epoch where clouds are stretched
    assert sum(searched) == 1 + 6 + (0 if len(shape) == 2 else 3 * 6)
