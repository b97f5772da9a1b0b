"""LoRA."""

import pytest

from benchmarks.training import measure
from tests.support import contract, loops, tiny

WIDTHS = {"q": (768, 768), "k": (768, 768), "v": (768, 768), "proj": (768, 768), "fc1": (768, 3072), "fc2": (3072, 768)}
TARGETS = [("q", "v"), ("k",), ("q", "k", "v", "proj", "fc1", "fc2"), ("fc2", "proj"), ("v", "q")]


@pytest.mark.parametrize("targets", TARGETS)
def test_counts_equal_the_closed_form_and_the_published(targets):
    closed = 12 * 8 * sum(sum(WIDTHS[t]) for t in targets)
    assert tiny.count("lora", rank=8, targets=targets) == closed
    assert tiny.count("lora") == 294_912


@pytest.mark.parametrize("targets", TARGETS)
def test_output_equals_the_equations(targets):
    model = tiny.trained("lora", "image", rank=4, alpha=6, targets=targets)
    loops.check_image(model, tiny.inputs("image", 2), linear=loops.low_rank(model.method, targets, 6 / 4))


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("targets", TARGETS)
def test_merge_equals_unmerged_for_all_targets(targets, modality):
    contract.check_merge(tiny.trained("lora", modality, targets=targets), tiny.inputs(modality))


def test_operations_of_the_update_in_place_are_counted():
    plain, model = tiny.trained("linear", "image"), tiny.trained("lora", "image", rank=4, targets=("q", "v"))
    x = tiny.inputs("image", 2)
    tokens = model.backbone.pos_embed.shape[1]
    joint = 2 * 4  # the rank of q and v
    update = 2 * tokens * joint * (tiny.WIDTH + 3 * tiny.WIDTH)  # down, and up to q, k and v
    assert measure.forward_flops(model, x) - measure.forward_flops(plain, x) == tiny.DEPTH * update
