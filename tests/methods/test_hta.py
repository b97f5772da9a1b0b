"""HTA."""

import pytest
import torch

from methods.errors import UserError
from tests.support import loops, tiny

TARGETS = ("q", "k", "v", "proj")


def test_counts_equal_the_published_and_the_closed_form():
    assert tiny.count("hta") == 5 * 768 * 4 * 12 == 184_320
    assert tiny.count("hta", targets=("v",)) == 5 * 768 * 12
    assert round((tiny.count("hta") + (940 / 19) * 769) / 1e6, 2) == 0.22  # with the mean head of VTAB-1K


def test_count_on_swin_equals_the_closed_form():
    method = tiny.wire("hta", "swin").method
    assert sum(p.numel() for p in method.parameters()) == 5 * 4 * (2 * 24 + 48)


def changed(part, token):
    """a (b . x) + (I - l l^T) diag(d) (I - r r^T) x of one token (D,), one factor after the other."""
    right = token - part.right * sum(r * t for r, t in zip(part.right, token, strict=True))
    scaled = torch.stack([d * value for d, value in zip(part.d, right, strict=True)])
    left = scaled - part.left * sum(m * s for m, s in zip(part.left, scaled, strict=True))
    return left + part.a * sum(b * t for b, t in zip(part.b, token, strict=True))


@pytest.mark.parametrize("targets", [TARGETS, ("k", "proj")])
def test_output_equals_the_equations(targets):
    model = tiny.trained("hta", "image", layers=2, targets=targets)

    def linear(layer, name, module, x):
        out = loops.plain(layer, name, module, x).unflatten(-1, (-1, tiny.WIDTH)).clone()
        for place, target in enumerate("qkv" if name == "qkv" else [name]):
            if target in targets:
                part = model.method.updates[len(targets) * layer + targets.index(target)]
                out[..., place, :] += loops.each_token(lambda token, part=part: changed(part, token), x)
        return out.flatten(-2)

    loops.check_image(model, tiny.inputs("image", 1), linear=linear)


def test_delta_is_the_product_of_the_papers_matrices():
    part = tiny.trained("hta", "image").method.updates[0]
    one = torch.eye(tiny.WIDTH)
    left, right = (one - torch.outer(v, v) for v in (part.left, part.right))
    tiny.close(part.delta(), torch.outer(part.a, part.b) + left @ part.d.diag() @ right)


def test_the_update_can_have_any_rank():
    part = tiny.wire("hta", "image").method.updates[0]
    with torch.no_grad():
        ranks = []
        for values in (0, 1, 5, tiny.WIDTH):
            part.d.zero_()[:values] = 1
            ranks.append(int(torch.linalg.matrix_rank(part.delta())))
    assert ranks[:3] == [0, 1, 5] and ranks[3] > 40


def test_a_matrix_that_is_not_square_is_refused():
    body = tiny.vit()
    body.blocks[0].attn.proj = torch.nn.Linear(tiny.WIDTH, 2 * tiny.WIDTH)
    with pytest.raises(UserError, match=r"^hta: acts on square matrices; proj of this backbone is \(96, 48\)$"):
        tiny.wire("hta", "image", body=body)
