"""ARC."""

import pytest
import torch

from benchmarks import backbones
from benchmarks.contract import checks
from tests.support import loops, tiny


@pytest.mark.parametrize(
    ("hidden", "position", "expected"), [(50, "both", 96_432), (50, "attention", 48_216), (10, "both", 34_032)]
)
def test_counts_equal_the_closed_form(hidden, position, expected):
    places = 2 if position == "both" else 1
    closed = places * (768 * hidden + 12 * (hidden + 768))
    assert tiny.count("arc", hidden=hidden, position=position) == closed == expected


def test_each_stage_of_swin_has_matrices_of_its_own():
    method = tiny.wire("arc", "swin", hidden=5).method
    widths = [(24, 2), (48, 1)]
    assert [tuple(p.weight.shape) for p in method.projections] == [(5, 24), (5, 24), (5, 48), (5, 48)]
    assert sum(p.numel() for p in method.parameters()) == sum(2 * (5 * d + n * (5 + d)) for d, n in widths)


def adapted(projection, own, token):
    """x + (x P * s) P^T + b of one token (D,), P being D x H, one entry at a time."""
    matrix = projection.weight.T
    hidden = [sum(token[d] * matrix[d, h] for d in range(len(token))) * own.scale[h] for h in range(len(own.scale))]
    up = [sum(hidden[h] * matrix[d, h] for h in range(len(hidden))) for d in range(len(token))]
    return token + torch.stack(up) + own.shift


@pytest.mark.parametrize("position", ["both", "attention"])
def test_output_equals_a_loop_over_entries(position):
    model, x = tiny.trained("arc", "image", layers=2, hidden=3, position=position), tiny.inputs("image", 1)
    places = {"both": ("qkv", "fc1"), "attention": ("qkv",)}[position]

    def linear(layer, name, module, x):
        if name in places:
            at = places.index(name)
            own = model.method.rescalings[2 * at + layer]  # of the two blocks before MHA, then before the FFN
            x = loops.each_token(lambda token: adapted(model.method.projections[at], own, token), x)
        return loops.plain(layer, name, module, x)

    loops.check_image(model, x, linear=linear)


@pytest.mark.parametrize("kind", ["image", "points", "eva", "swin"])
def test_merge_equals_unmerged_once(kind):
    checks.check_merge(tiny.trained("arc", kind, hidden=7), tiny.inputs(kind))


@torch.no_grad()
def test_scales_before_the_ffn_may_start_at_random():
    plain, other = (tiny.wire("arc", "image", ffn_scale=start) for start in ("zero", "xavier"))
    assert not any(own.scale.any() for own in plain.method.rescalings)
    assert [bool(own.scale.any()) for own in other.method.rescalings] == [False] * 3 + [True] * 3
    assert not any(own.shift.any() for own in other.method.rescalings)
    x = tiny.inputs("image")
    assert not torch.equal(other.pooled(x), tiny.backbone("image")(x))


def test_all_blocks_share_the_matrices():
    model = tiny.wire("arc", "image", layers=3)
    blocks = len(backbones.describe(model.backbone).blocks)
    assert len(model.method.projections) == 2 and len(model.method.rescalings) == 2 * blocks
