"""A transformer and parts of methods written out from the equations, to check methods against.

Shapes: B samples, N tokens, G patches, D token width. ``layer`` is the number of a block.
"""

from operator import attrgetter

import torch
import torch.nn.functional as F

from benchmarks.backbones.grouping import group
from tests.support import tiny

RAW = attrgetter("weight")


def plain(layer, name, module, x):
    return x @ module.weight.T + (0 if module.bias is None else module.bias)


def same(*place_and_value):
    return place_and_value[-1]


def nothing(layer, h, u):
    return 0


def image_tokens(body, x):
    """Images (B, 3, 32, 32) to tokens (B, 1 + 16, D), class token first."""
    patches = x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).reshape(len(x), 16, -1)
    projected = patches @ body.patch_embed.proj.weight.flatten(1).T + body.patch_embed.proj.bias
    return torch.cat([body.cls_token.expand(len(x), -1, -1), projected], dim=1) + body.pos_embed


def point_tokens(body, x):
    """Points (B, 64, 3) to tokens (B, 1 + G, D), class token first, and their positions, added before every block."""
    neighborhoods, centers = group(x, body.num_groups, body.group_size)
    tokens = torch.cat([body.cls_token.expand(len(x), -1, -1), body.encoder(neighborhoods)], dim=1)
    return tokens, torch.cat([body.cls_pos.expand(len(x), -1, -1), body.pos_embed(centers)], dim=1)


def norm(module, x):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + module.eps).sqrt() * module.weight + module.bias


def block(body, layer, h, *, linear=plain, after_attention=same, after_ffn=same, beside=nothing, after_norm=same):
    """Block number `layer` on tokens (B, N, D), with the places where methods act."""
    part = body.blocks[layer]
    q, k, v = linear(layer, "qkv", part.attn.qkv, after_norm(layer, "norm1", norm(part.norm1, h))).chunk(3, dim=-1)
    width, mixed = part.attn.head_dim, []
    for start in range(0, q.shape[-1], width):
        head = slice(start, start + width)
        weights = (q[..., head] @ k[..., head].transpose(1, 2) / width**0.5).softmax(-1)
        mixed.append(weights @ v[..., head])
    h = h + after_attention(layer, linear(layer, "proj", part.attn.proj, torch.cat(mixed, dim=-1)))
    u = after_norm(layer, "norm2", norm(part.norm2, h))
    ffn = linear(layer, "fc2", part.mlp.fc2, F.gelu(linear(layer, "fc1", part.mlp.fc1, u)))
    return h + after_ffn(layer, ffn) + beside(layer, h, u)


def vit(body, x, **acts):
    """Images to pooled features (B, D): the timm model's forward pass written out."""
    h = image_tokens(body, x)
    for layer in range(len(body.blocks)):
        h = block(body, layer, h, **acts)
    return norm(body.norm, h)[:, 0]


def pooled_points(h):
    """Normed tokens (B, 1 + G, D) to pooled features (B, 2 D): the class token and the maximum of the patches."""
    return torch.cat([h[:, 0], h[:, 1:].amax(dim=1)], dim=-1)


@torch.no_grad()
def check_image(model, x, **acts):
    """The features are those of the untouched backbone with these acts, and the acts change them."""
    body = tiny.backbone("image", len(model.backbone.blocks))
    expected = vit(body, x, **acts)
    assert not torch.allclose(expected, body(x), rtol=1e-2, atol=1e-2)
    tiny.close(model.pooled(x), expected)


def bottleneck(part, layer_norm, scale, weight=RAW):
    """AdaptFormer's branch on one token (D,): scale * up relu(down LN(h)), with biases if the linears have them."""

    def affine(linear, token):
        return weight(linear) @ token + (0 if linear.bias is None else linear.bias)

    def one(token):
        token = norm(part[0], token) if layer_norm else token
        return scale * affine(part[-1].up, affine(part[-1].down, token).clamp(min=0))

    return one


def low_rank(method, targets, scale, weight=RAW):
    """LoRA's linear of a block: W x + scale * up down x on the targets, one token at a time."""
    pairs, left = {}, list(method.updates)
    for layer in range(tiny.DEPTH):
        if set(targets) & {"q", "k", "v"}:
            fused = left.pop(0).updates
            assert set(fused) == set(targets) & {"q", "k", "v"}
            pairs |= {(layer, part): fused[part] for part in fused}
        pairs |= {(layer, part): left.pop(0) for part in ("proj", "fc1", "fc2") if part in targets}
    assert not left

    def update(layer, part, x):
        down, up = (weight(linear) for linear in (pairs[layer, part].down, pairs[layer, part].up))
        return each_token(lambda token: scale * (up @ (down @ token)), x)

    def linear(layer, name, module, x):
        out = plain(layer, name, module, x)
        if name == "qkv":
            parts = [update(layer, part, x) if part in targets else torch.zeros_like(x) for part in "qkv"]
            return out + torch.cat(parts, dim=-1)
        return out + update(layer, name, x) if name in targets else out

    return linear


def scale_shifts(parts):
    """The acts of a block with a scale and a shift after every operation, of ``parts`` in the order of wiring."""
    places = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")
    assert len(parts) == tiny.DEPTH * len(places)
    at = {(i // len(places), places[i % len(places)]): part for i, part in enumerate(parts)}

    def linear(layer, name, module, x):
        return scale_shift(at[layer, name], plain(layer, name, module, x))

    def after_norm(layer, name, x):
        return scale_shift(at[layer, name], x)

    return {"linear": linear, "after_norm": after_norm}


def scale_shift(part, x):
    return each_token(lambda token: part.scale * token + part.shift, x)


def each_token(f, x):
    """Apply f to one token (D,) at a time: (B, N, D) -> (B, N, D)."""
    return torch.stack([torch.stack([f(token) for token in sample]) for sample in x])


def drop_path_masks(rates, samples):
    """What drop-path multiplies the two branches of every block with, drawn in the order of a forward pass."""
    keeps = [1 - rate for rate in rates for _ in range(2)]
    masks = [torch.empty(samples, 1, 1).bernoulli_(keep) / keep if keep < 1 else torch.ones(1) for keep in keeps]
    return list(zip(masks[::2], masks[1::2], strict=True))


def dropping(attention_mask, ffn_mask):
    """The acts of a block whose two branches drop-path multiplies with these masks."""
    return {
        "after_attention": lambda layer, y: attention_mask * y,
        "after_ffn": lambda layer, y: ffn_mask * y,
    }
