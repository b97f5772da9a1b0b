"""LoRA."""

import pytest
import torch
import torch.nn.functional as F

from benchmarks.contract import checks
from benchmarks.training import measure
from tests.support import loops, tiny

WIDTHS = {"q": (768, 768), "k": (768, 768), "v": (768, 768), "proj": (768, 768), "fc1": (768, 3072), "fc2": (3072, 768)}
TARGETS = [("q", "v"), ("k",), ("q", "k", "v", "proj", "fc1", "fc2"), ("fc2", "proj"), ("v", "q")]
SHARED = {"targets": ("q", "k", "v", "fc2"), "shared": True}


@pytest.mark.parametrize("targets", TARGETS)
def test_counts_equal_the_closed_form_and_the_published(targets):
    closed = 12 * 8 * sum(sum(WIDTHS[t]) for t in targets)
    assert tiny.count("lora", rank=8, targets=targets) == closed
    assert tiny.count("lora") == tiny.count("lora", targets=("q", "k", "v"), shared=True) == 294_912


@pytest.mark.parametrize("targets", TARGETS)
def test_output_equals_the_equations(targets):
    model = tiny.trained("lora", "image", rank=4, alpha=6, targets=targets)
    loops.check_image(model, tiny.inputs("image", 2), linear=loops.low_rank(model.method, targets, 6 / 4))


def test_a_shared_pair_updates_q_k_and_v_together():
    model = tiny.trained("lora", "image", rank=4, alpha=6, **SHARED)

    def linear(layer, name, module, x):
        out = loops.plain(layer, name, module, x)
        if name not in ("qkv", "fc2"):
            return out
        pair = model.method.updates[2 * layer + (name == "fc2")]
        return out + loops.each_token(lambda token: 6 / 4 * (pair.up.weight @ (pair.down.weight @ token)), x)

    loops.check_image(model, tiny.inputs("image", 2), linear=linear)


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("options", [*({"targets": targets} for targets in TARGETS), SHARED])
def test_merge_equals_unmerged_for_all_targets(options, modality):
    checks.check_merge(tiny.trained("lora", modality, **options), tiny.inputs(modality))


@pytest.mark.parametrize("options", [{"targets": ("q", "v")}, {"targets": ("fc1",)}, SHARED])
def test_dropout_acts_on_the_input_of_an_update(options):
    update, x = tiny.trained("lora", "image", dropout=0.5, **options).method.updates[0], torch.randn(2, 5, tiny.WIDTH)
    torch.manual_seed(4)
    drawn = update.train()(x)
    torch.manual_seed(4)
    dropped = F.dropout(x, 0.5)
    torch.testing.assert_close(drawn, update.eval()(dropped), rtol=0, atol=0)
    if hasattr(update, "add_to"):
        torch.manual_seed(4)
        tiny.close(update.train().add_to(torch.zeros_like(drawn), x), drawn)


def test_operations_of_the_update_in_place_are_counted():
    plain, model = tiny.trained("linear", "image"), tiny.trained("lora", "image", rank=4, targets=("q", "v"))
    x = tiny.inputs("image", 2)
    tokens = model.backbone.pos_embed.shape[1]
    joint = 2 * 4  # the rank of q and v
    update = 2 * tokens * joint * (tiny.WIDTH + 3 * tiny.WIDTH)  # down, and up to q, k and v
    assert measure.forward_flops(model, x) - measure.forward_flops(plain, x) == tiny.DEPTH * update
