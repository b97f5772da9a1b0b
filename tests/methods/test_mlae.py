"""MLAE."""

import pytest
import torch

from benchmarks.contract import checks
from tests.support import loops, tiny

WIDTHS = {"q": 2 * 768, "k": 2 * 768, "v": 2 * 768, "proj": 2 * 768, "fc1": 768 + 3072, "fc2": 768 + 3072}
TARGETS = [("q", "k", "v", "proj"), ("fc2", "k"), tuple(WIDTHS)]


@pytest.mark.parametrize(("rank", "targets"), [(4, TARGETS[0]), (8, TARGETS[1]), (2, TARGETS[2])])
def test_counts_equal_the_closed_form(rank, targets):
    closed = 12 * rank * sum(WIDTHS[target] + 1 for target in targets)
    assert tiny.count("mlae", rank=rank, targets=targets) == closed
    assert tiny.count("mlae") == 295_104


def of_experts(update, token):
    """The sum of what the experts say about one token (D,)."""
    rows = zip(update.coefficients, update.down.weight, update.up.weight.T, strict=True)
    return sum(coefficient * (a @ token) * b for coefficient, a, b in rows)


@pytest.mark.parametrize("targets", TARGETS)
def test_output_equals_a_sum_over_experts(targets):
    model = tiny.trained("mlae", "image", layers=2, rank=3, alpha=1.5, targets=targets)

    def linear(layer, name, module, x):
        parts = list(loops.plain(layer, name, module, x).chunk(3 if name == "qkv" else 1, dim=-1))
        for place, target in enumerate("qkv" if name == "qkv" else [name]):
            if target in targets:
                update = model.method.updates[len(targets) * layer + targets.index(target)]
                parts[place] = parts[place] + loops.each_token(lambda token, u=update: of_experts(u, token), x)
        return torch.cat(parts, dim=-1)

    loops.check_image(model, tiny.inputs("image", 1), linear=linear)


def test_dropout_switches_whole_experts_for_all_samples():
    update, x = tiny.trained("mlae", "image", rank=4, dropout=0.5).method.updates[0], torch.randn(3, 5, tiny.WIDTH)
    torch.manual_seed(4)
    on = torch.nn.functional.dropout(torch.ones(4), 0.5)
    assert set(on.tolist()) == {0.0, 2.0}
    torch.manual_seed(4)
    drawn = update.train()(x)
    with torch.no_grad():
        update.coefficients *= on
    tiny.close(drawn, update.eval()(x))


def test_coefficients_start_at_alpha_and_get_no_weight_decay():
    model = tiny.wire("mlae", "image", rank=4, alpha=0.5)
    coefficients = model.method.updates[0].coefficients
    assert coefficients.tolist() == [0.5] * 4
    _, free = model.method.param_groups(model)
    assert free["weight_decay"] == 0 and any(p is coefficients for p in free["params"])


@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("targets", TARGETS)
def test_merge_equals_unmerged_for_all_targets(targets, modality):
    checks.check_merge(tiny.trained("mlae", modality, targets=targets), tiny.inputs(modality))
