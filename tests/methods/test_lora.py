"""LoRA."""

from __future__ import annotations

import pytest
import torch

import methods
from benchmarks.training import measure
from tests.support import tiny

WIDTHS = {"q": (768, 768), "k": (768, 768), "v": (768, 768), "proj": (768, 768), "fc1": (768, 3072), "fc2": (3072, 768)}
TARGETS = [("q", "v"), ("k",), ("q", "k", "v", "proj", "fc1", "fc2"), ("fc2", "proj"), ("v", "q")]


@pytest.mark.parametrize("targets", TARGETS)
def test_counts_equal_the_closed_form(targets):
    assert tiny.count("lora", rank=8, targets=targets) == 12 * 8 * sum(sum(WIDTHS[t]) for t in targets)


def test_default_count_equals_the_published():
    assert tiny.count("lora") == 294_912


def updates(model, targets):
    """The low-rank pair of every (block, target), in the order in which a block reads them."""
    found, left = {}, list(model.method.updates)
    for layer in range(tiny.DEPTH):
        if set(targets) & {"q", "k", "v"}:
            fused = left.pop(0).updates
            assert set(fused) == set(targets) & {"q", "k", "v"}
            found |= {(layer, part): fused[part] for part in fused}
        found |= {(layer, part): left.pop(0) for part in ("proj", "fc1", "fc2") if part in targets}
    assert not left
    return found


@pytest.mark.parametrize("targets", TARGETS)
def test_output_equals_the_equations(targets):
    model, x = tiny.trained("lora", "image", rank=4, alpha=6, targets=targets), tiny.inputs("image", 2)
    pairs = updates(model, targets)

    def update(layer, part, x):
        if (layer, part) not in pairs:
            return torch.zeros(*x.shape[:-1], tiny.WIDTH)
        a, b = pairs[layer, part].down.weight, pairs[layer, part].up.weight
        return tiny.each_token(lambda token: 6 / 4 * (b @ (a @ token)), x)

    def linear(layer, name, module, x):
        out = tiny.plain(layer, name, module, x)
        if name == "qkv":
            return out + torch.cat([update(layer, part, x) for part in "qkv"], dim=-1)
        return out + update(layer, name, x) if name in targets else out

    with torch.no_grad():
        expected = tiny.vit(tiny.backbone("image"), x, linear=linear)
        torch.testing.assert_close(model.pooled(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("targets", TARGETS)
def test_merge_equals_unmerged_for_all_targets(targets, modality):
    model, x = tiny.trained("lora", modality, targets=targets), tiny.inputs(modality)
    with torch.no_grad():
        before = model(x)
        model.method.merge()
        torch.testing.assert_close(model(x), before, rtol=1e-5, atol=1e-5)
        merged = model(x)
        model.method.merge()
        assert torch.equal(model(x), merged)  # a second merge adds nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "lora: rank=0 must be at least 1"),
        ({"targets": []}, "lora: targets=() must be different and not empty"),
        ({"targets": ["q", "q"]}, "lora: targets=('q', 'q') must be different and not empty"),
        ({"targets": ["o"]}, "lora: unknown targets 'o'; known: fc1, fc2, k, proj, q, v"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(ValueError) as error:
        methods.config("lora", options)
    assert str(error.value) == message


def test_operations_of_the_update_in_place_are_counted():
    plain, model = tiny.trained("linear", "image"), tiny.trained("lora", "image", rank=4, targets=("q", "v"))
    x = tiny.inputs("image", 2)
    tokens = model.backbone.pos_embed.shape[1]
    joint = 2 * 4  # the rank of q and v
    update = 2 * tokens * joint * (tiny.WIDTH + 3 * tiny.WIDTH)  # down, and up to q, k and v
    assert measure.forward_flops(model, x) - measure.forward_flops(plain, x) == tiny.DEPTH * update
