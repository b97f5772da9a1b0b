"""Convpass."""

import pytest
import torch
from torch import nn

import methods
from benchmarks import backbones
from benchmarks.training.model import Classifier
from tests.support import loops, tiny


@pytest.mark.parametrize(("hidden", "published"), [(4, None), (8, 327_552), (16, None)])
def test_counts_equal_the_closed_form_and_the_published(hidden, published):
    closed = 12 * 2 * ((768 * hidden + hidden) + (9 * hidden**2 + hidden) + (768 * hidden + 768))
    assert tiny.count("convpass", hidden=hidden) == closed == (published or closed)


def quick_gelu(x):
    return x / (1 + torch.exp(-1.702 * x))


def convolved(conv, at):
    """A 3x3 convolution on {(row, column): (H,)}, one place at a time; what is not there counts as zero."""
    out = {}
    for row, column in at:
        total = conv.bias.clone()
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                if (row + down, column + right) in at:
                    total += conv.weight[:, :, 1 + down, 1 + right] @ at[row + down, column + right]
        out[row, column] = total
    return out


def bypass(part, grid, prefix, scale, x):
    """The branch written out for tokens (B, N, D)."""
    _, columns = grid
    samples = []
    for sample in x:
        hidden = [quick_gelu(part.down.weight @ token + part.down.bias) for token in sample]
        alone = [convolved(part.conv, {(0, 0): h})[0, 0] for h in hidden[:prefix]]
        patches = convolved(part.conv, {divmod(i, columns): h for i, h in enumerate(hidden[prefix:])})
        mixed = alone + [patches[divmod(i, columns)] for i in range(len(hidden) - prefix)]
        samples.append(torch.stack([scale * (part.up.weight @ quick_gelu(h) + part.up.bias) for h in mixed]))
    return torch.stack(samples)


def test_output_equals_a_loop_over_places():
    model, x = tiny.trained("convpass", "image", hidden=5, scale=0.6), tiny.inputs("image", 2)
    branches, entered = model.method.bypasses, {}

    def linear(layer, name, module, x):
        if name == "qkv":
            entered[layer] = x  # norm1(h), which the branch beside attention reads too
        return loops.plain(layer, name, module, x)

    def after_attention(layer, out):
        return out + bypass(branches[2 * layer], (4, 4), 1, 0.6, entered[layer])

    def beside(layer, h, u):
        return bypass(branches[2 * layer + 1], (4, 4), 1, 0.6, u)

    loops.check_image(model, x, linear=linear, after_attention=after_attention, beside=beside)


@torch.no_grad()
def test_grid_that_is_not_square_and_several_prefix_tokens_keep_their_places():
    body = tiny.vit(img_size=(8, 24), patch_size=4, embed_dim=12, depth=1, reg_tokens=2)
    method = methods.build("convpass", backbones.describe(body), methods.config("convpass", {}))
    tiny.move(Classifier(body, method, nn.Linear(12, 2)))
    first = method.bypasses[0].eval()
    tokens = torch.randn(2, 3 + 2 * 6, 12)
    tiny.close(first(tokens), bypass(first, (2, 6), 3, 1.0, tokens))


@torch.no_grad()
def test_branches_join_past_layer_scale():
    body = tiny.vit(img_size=8, patch_size=4, embed_dim=12, depth=1, init_values=0.5)
    block, tokens = body.blocks[0], torch.randn(2, 5, 12)
    method = methods.build("convpass", backbones.describe(body), methods.config("convpass", {})).eval()
    tiny.move(method)
    wired = block(tokens)
    method.remove_hooks()
    first, second = method.bypasses
    u = block.norm1(tokens)
    h = tokens + 0.5 * block.attn(u) + bypass(first, (2, 2), 1, 1.0, u)
    u = block.norm2(h)
    tiny.close(wired, h + 0.5 * block.mlp(u) + bypass(second, (2, 2), 1, 1.0, u))


@torch.no_grad()
def test_a_bypass_has_drop_path_of_its_own_per_sample():
    body = tiny.vit(img_size=8, patch_size=4, embed_dim=12, depth=2, drop_path_rate=0.5)
    method = methods.build("convpass", backbones.describe(body), methods.config("convpass", {"dropout": 0}))
    tiny.move(method)
    block, seen = body.train().blocks[1], []  # the last block has the whole rate
    tokens, first = torch.randn(1, 5, 12), method.bypasses[2]
    block.norm2.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    block(tokens.expand(64, -1, -1))
    u = block.norm1(tokens)
    parts = block.attn(u) / 0.5, bypass(first, (2, 2), 1, 1.0, u) / 0.5
    cases = [tokens, tokens + parts[0], tokens + parts[1], tokens + parts[0] + parts[1]]
    near = [[torch.allclose(h, case[0], atol=1e-5) for case in cases] for h in seen[0]]
    assert all(sum(row) == 1 for row in near)
    assert all(any(column) for column in zip(*near, strict=True))  # each is dropped alone, too


def test_convolution_starts_as_the_identity():
    bypass = tiny.wire("convpass", "image").method.bypasses[0]
    hidden = torch.randn(2, 17, 8)
    with torch.no_grad():
        torch.testing.assert_close(bypass.mix(hidden), hidden)


def test_convolution_may_start_as_xavier_uniform():
    bypasses = tiny.wire("convpass", "image", conv="xavier").method.bypasses
    weights = torch.cat([bypass.conv.weight.flatten() for bypass in bypasses])
    bound = (6 / (9 * 8 + 9 * 8)) ** 0.5
    assert 0.98 * bound < weights.abs().max() <= bound
    assert abs(weights.mean()) < 0.05 * bound
