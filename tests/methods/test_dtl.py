"""DTL and DTL+."""

import pytest
import torch

from benchmarks import backbones
from benchmarks.contract import checks
from benchmarks.training import measure, prefix
from methods.errors import UserError
from tests.support import loops, tiny

BOTH = pytest.mark.parametrize("name", ["dtl", "dtl_plus"])


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [("dtl", {}, 36_864), ("dtl_plus", {}, 43_776), ("dtl", {"rank": 8}, None), ("dtl_plus", {"kernel": 5}, None)],
)
def test_counts_equal_the_closed_form_and_the_published(name, options, published):
    closed = 12 * 2 * 768 * options.get("rank", 2) + (name == "dtl_plus") * 768 * options.get("kernel", 3) ** 2
    assert tiny.count(name, **options) == closed == (published or closed)


@BOTH
def test_a_stage_of_swin_that_the_stream_does_not_join_has_none(name):
    body = tiny.swin(depth=3, depths=(2, 1))
    half, late = (tiny.wire(name, "swin", body=body, spared=share).method.streams for share in (0.4, 0.7))
    assert [[len(u.down.weight[0]) for u in stream.updates] for stream in half] == [[24, 24], [48]]
    assert [[len(u.down.weight[0]) for u in stream.updates] for stream in late] == [[48]]


def convolved(weight, rows):
    """A depth-wise convolution of patches {(row, column): (D,)}, one place at a time; outside there are zeros."""
    reach, out = weight.shape[-1] // 2, {}
    for row, column in rows:
        out[row, column] = torch.zeros(weight.shape[0])
        for down in range(-reach, reach + 1):
            for right in range(-reach, reach + 1):
                if (row + down, column + right) in rows:
                    out[row, column] += weight[:, 0, reach + down, reach + right] * rows[row + down, column + right]
    return out


def by_loop(model, x, first, beta):
    """Tokens after the last block: h grows token by token before each block and joins after block ``first``."""
    (stream,), body = model.method.streams, tiny.backbone("image")
    tokens, h = loops.image_tokens(body, x), 0
    for layer, update in enumerate(stream.updates):
        h = h + loops.each_token(lambda token, u=update: u.up.weight @ (u.down.weight @ token), tokens)
        tokens = loops.block(body, layer, tokens)
        if layer >= first:
            joined = h / (1 + (-beta * h).exp())
            if model.method.needs_grid:
                for sample in joined:
                    rows = {divmod(i, 4): token.clone() for i, token in enumerate(sample[1:])}
                    sample[1:] = torch.stack([*convolved(stream.mixing.conv.weight, rows).values()])
            tokens = tokens + joined
    return body, tokens


@BOTH
@pytest.mark.parametrize(("spared", "first"), [(0.5, 1), (0.0, 0), (0.9, 2)])
@torch.no_grad()
def test_output_equals_a_loop_over_tokens(name, spared, first):
    model, x = tiny.trained(name, "image", spared=spared, beta=3.0), tiny.inputs("image", 2)
    body, tokens = by_loop(model, x, first, 3.0)
    tiny.close(model.pooled(x), loops.norm(body.norm, tokens)[:, 0])
    assert not torch.allclose(model.pooled(x), body(x), rtol=1e-2, atol=1e-2)


@torch.no_grad()
def test_the_head_may_see_the_mean_of_the_patches():
    model, x = tiny.trained("dtl", "image", pool="patches", beta=3.0), tiny.inputs("image", 2)
    body, tokens = by_loop(model, x, 1, 3.0)
    tiny.close(model.pooled(x), loops.norm(body.norm, tokens[:, 1:].mean(1)))


@pytest.mark.parametrize("kind", ["points", "swin"])
def test_a_backbone_without_a_class_token_of_images_is_refused_with_pooled_patches(kind):
    with pytest.raises(UserError, match=r"^dtl: pool=patches takes the place of the class token of images"):
        tiny.wire("dtl", kind, pool="patches")


@BOTH
def test_blocks_before_the_stream_joins_make_no_graph(name):
    model, x = tiny.trained(name, "image").train(), tiny.inputs("image")
    seen = []
    for block in model.backbone.blocks:
        block.register_forward_hook(lambda module, args, out: seen.append((args[0].requires_grad, out.requires_grad)))
    checks.loss(model, x)
    assert seen == [(False, False), (False, True), (True, True)]  # the stream joins behind the second block


def test_training_costs_no_backward_pass_through_spared_blocks():
    def backward(name):
        """Operations of the backward pass, as a share of those of the forward pass."""
        model, x = tiny.wire(name, "image", rank=2), tiny.inputs("image")
        training = measure.training_flops(model, x, checks.LABELS, lambda m, x, y: checks.loss(m, x))
        return training / measure.forward_flops(model, x) - 1

    # attention's backward pass has five products for two, so that one block of three is a bit more than a third
    assert 0.33 < backward("dtl") < 0.45 and 0.9 < backward("lora") < 1.2


def test_no_block_is_kept_because_the_stream_reads_every_input():
    model, x = tiny.trained("dtl", "image"), tiny.inputs("image")
    with torch.no_grad():
        frozen = prefix.block_input(tiny.wire("linear", "image"), x, 1)
        assert torch.equal(prefix.block_input(model, x, 1), frozen)
    assert prefix.unchanged_blocks(model) == 0


def test_described_blocks_have_the_grid_that_the_convolution_uses():
    model = tiny.wire("dtl_plus", "swin")
    grids = [stage[0].grid for stage in backbones.describe(model.backbone).stages]
    assert [stream.mixing.grid for stream in model.method.streams] == grids == [(8, 8), (4, 4)]
