"""Small backbones for the tests of methods, and a transformer written out by hand to check them against.

Shapes: B samples, N tokens, D token width.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from timm.models import VisionTransformer
from torch import nn

import methods
from benchmarks.backbones.grouping import group
from benchmarks.backbones.points import PointTransformer
from benchmarks.training.model import Classifier

MODALITIES = ("image", "points")
PAIRS = [(name, m) for name in sorted(methods.METHODS) for m in MODALITIES if m in methods.get(name).modalities]
WIDTH, DEPTH = 48, 3


def backbone(modality, layers=DEPTH):
    """A pretrained backbone, as far as a method can tell: every weight random, none zero."""
    torch.manual_seed(0)
    if modality == "image":
        built = VisionTransformer(
            img_size=32, patch_size=8, embed_dim=WIDTH, depth=layers, num_heads=3, mlp_ratio=2, num_classes=0
        )
    else:
        built = PointTransformer(
            embed_dim=WIDTH, depth=layers, num_heads=3, num_groups=4, group_size=4, widths=(8, 16, 16), pos_width=16
        )
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += torch.randn_like(parameter) * 0.05
    return built.eval()


def inputs(modality, count=4):
    torch.manual_seed(1)
    return torch.randn(count, 3, 32, 32) if modality == "image" else torch.rand(count, 64, 3) * 2 - 1


def wire(name, modality, layers=DEPTH, **options):
    """A method on a fresh tiny backbone, with a linear head."""
    body = backbone(modality, layers)
    torch.manual_seed(2)
    method = methods.build(name, body, methods.config(name, options))
    return Classifier(body, method, nn.Linear(body.head_hidden_size + method.extra_features, 5)).eval()


def trained(name, modality, layers=DEPTH, **options):
    """The same after some training: every trainable weight has moved by something random."""
    return move(wire(name, modality, layers, **options))


@torch.no_grad()
def move(model):
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter += torch.randn_like(parameter) * 0.1
        if name.endswith(".scale.bias"):
            parameter += 1  # of a ReLU that, closed on every token, would hide what stands before it
    return model


def plain(layer, name, module, x):
    return x @ module.weight.T + (0 if module.bias is None else module.bias)


def same(layer, x):
    return x


def same_norm(layer, name, x):
    return x


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


def block(body, layer, h, *, linear=plain, after_attention=same, after_ffn=same, beside=nothing, after_norm=same_norm):
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


def each_token(f, x):
    """Apply f to one token (D,) at a time: (B, N, D) -> (B, N, D)."""
    return torch.stack([torch.stack([f(token) for token in sample]) for sample in x])


@functools.cache
def point_mae():
    """The backbone of Point-MAE's classifier, for the published counts."""
    return PointTransformer()


def count_with_head(name, classes, **options):
    """Parameters that train on Point-MAE: the method's own and those with all that it unfreezes and the head."""
    body = point_mae()
    method = methods.build(name, body, methods.config(name, options))
    head = body.make_head(body.head_hidden_size + method.extra_features, classes)
    own = sum(p.numel() for p in method.parameters())
    total = sum(p.numel() for part in (body, method, head) for p in part.parameters() if p.requires_grad)
    method.detach()
    return own, total


@functools.cache
def vit_base():
    """ViT-B/16 without its class head, for the published counts."""
    return VisionTransformer(num_classes=0)


def count(name, **options):
    """Parameters that the method trains on ViT-B/16, head excluded."""
    body = vit_base()
    method = methods.build(name, body, methods.config(name, options))
    total = sum(p.numel() for part in (body, method) for p in part.parameters() if p.requires_grad)
    method.detach()
    return total
