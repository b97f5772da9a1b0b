"""Hydra."""

import pytest
import torch

from benchmarks.contract import checks
from tests.support import loops, tiny

WIDTHS = {"proj": (768, 768), "fc1": (768, 3072), "fc2": (3072, 768)}
BIAS = pytest.mark.parametrize("bias", [False, True])


@BIAS
@pytest.mark.parametrize(("rank", "targets"), [(2, ("proj", "fc2")), (4, ("fc1",))])
def test_counts_equal_the_closed_form(rank, targets, bias):
    branches = [pair for t in targets for pair in (WIDTHS[t], (WIDTHS[t][1], WIDTHS[t][1]))]
    closed = 12 * sum(rank * (ins + outs) + bias * (rank + outs) for ins, outs in branches)
    assert tiny.count("hydra", rank=rank, targets=targets, bias=bias) == closed


def test_count_with_the_mean_head_of_vtab_is_the_published():
    assert tiny.count("hydra") == 239_712 and tiny.count("hydra", bias=False) == 202_752
    assert round((tiny.count("hydra") + (940 / 19) * 769) / 1e6, 2) == 0.28


def low_rank(branch, scale, token):
    """scale * (U (V x + v) + u) of one token (D,), one hidden unit at a time."""
    out = torch.zeros(len(branch.up.weight)) if branch.up.bias is None else branch.up.bias.clone()
    for unit, row in enumerate(branch.down.weight):
        hidden = row @ token + (0 if branch.down.bias is None else branch.down.bias[unit])
        out = out + hidden * branch.up.weight[:, unit]
    return scale * out


@BIAS
def test_output_equals_the_equations(bias):
    model = tiny.trained("hydra", "image", rank=3, scale=0.7, bias=bias)

    def linear(layer, name, module, x):
        y = loops.plain(layer, name, module, x)
        if name not in ("proj", "fc2"):
            return y
        at = 2 * layer + (name == "fc2")
        parallel = loops.each_token(lambda token: low_rank(model.method.parallel[at], 0.7, token), x)
        return y + parallel + loops.each_token(lambda token: low_rank(model.method.sequential[at], 0.7, token), y)

    loops.check_image(model, tiny.inputs("image", 2), linear=linear)


@BIAS
@pytest.mark.parametrize("modality", tiny.MODALITIES)
@pytest.mark.parametrize("targets", [("proj", "fc2"), ("fc1", "fc2")])
def test_merge_equals_unmerged_for_all_targets(targets, modality, bias):
    model = tiny.trained("hydra", modality, targets=targets, bias=bias)
    checks.check_merge(model, tiny.inputs(modality))


@BIAS
def test_only_biases_of_branches_give_a_linear_a_bias(bias):
    model = tiny.trained("hydra", "image", body=tiny.vit(proj_bias=False), bias=bias)
    checks.check_merge(model, tiny.inputs("image"))
    made = model.backbone.blocks[0].attn.proj.bias
    assert (made is not None) == bias and not (bias and made.requires_grad)


def test_dropout_acts_on_hidden_units_alone():
    branch, x = tiny.trained("hydra", "image", dropout=0.5).method.parallel[0].train(), torch.randn(2, 5, tiny.WIDTH)
    torch.manual_seed(4)
    drawn = branch(x)
    torch.manual_seed(4)
    hidden = torch.nn.functional.dropout(branch.down(x), 0.5)
    tiny.close(drawn, hidden @ branch.up.weight.T + branch.up.bias)
