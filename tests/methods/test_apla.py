"""APLA."""

import torch

from benchmarks.contract import checks
from tests.support import loops, tiny


def test_counts_equal_the_closed_form():
    for rows in (1, 8, 128):
        assert tiny.count("apla", rows=rows) == 12 * rows * (768 + 1)
    assert tiny.count("apla") == 73_824
    assert tiny.count("apla", rows=768) == tiny.count("apla", rows=5000) == 12 * (768**2 + 768) == 7_087_104


def test_a_narrow_stage_trains_all_the_rows_that_it_has():
    updates = tiny.wire("apla", "swin", rows=30).method.updates
    assert [len(update.index) for update in updates] == [24, 24, 30]


def test_output_equals_the_equations():
    model = tiny.trained("apla", "image", rows=5)

    def linear(layer, name, module, x):
        weight, bias = module.weight.clone(), module.bias.clone()
        if name == "proj":
            update = model.method.updates[layer]
            for row, change, shift in zip(update.index, update.weight, update.bias, strict=True):
                weight[row] += change
                bias[row] += shift
        return x @ weight.T + bias

    loops.check_image(model, tiny.inputs("image", 2), linear=linear)


def test_gradients_are_those_of_the_rows_themselves():
    model, x = tiny.trained("apla", "image", rows=5), tiny.inputs("image")
    update, plain = model.method.updates[0], tiny.trained("apla", "image", rows=5)
    plain.method.merge()
    plain.backbone.blocks[0].attn.proj.requires_grad_(True)
    got, expected = checks.gradients(model, x), checks.gradients(plain, x)
    tiny.close(got["method.updates.0.weight"], expected["backbone.blocks.0.attn.proj.weight"][update.index])
    tiny.close(got["method.updates.0.bias"], expected["backbone.blocks.0.attn.proj.bias"][update.index])


def test_rows_are_drawn_at_random_without_repetition():
    first, second, *_ = (set(update.index.tolist()) for update in tiny.wire("apla", "image", rows=16).method.updates)
    assert len(first) == len(second) == 16 and first != second and first | second <= set(range(tiny.WIDTH))


def test_a_file_tells_the_rows_and_holds_no_more_than_they_have():
    saved, other, x = tiny.trained("apla", "image", rows=5), tiny.wire("apla", "image", rows=5), tiny.inputs("image")
    state = saved.trained_state()
    assert sum(v.numel() for k, v in state.items() if k.startswith("method.")) == tiny.DEPTH * 5 * (tiny.WIDTH + 1 + 1)
    for update in other.method.updates:
        update.index = torch.arange(5)
    other.load_state_dict(state, strict=False)
    assert torch.equal(other(x), saved(x))


def test_a_projection_without_a_bias_stays_without():
    body = tiny.vit(proj_bias=False)
    model = tiny.trained("apla", "image", body=body)
    keys = list(model.backbone.state_dict())
    checks.check_merge(model, tiny.inputs("image"))
    assert list(model.backbone.state_dict()) == keys
