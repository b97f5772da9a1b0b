"""The floor of a training step: what the frozen backbone must compute and move whatever the method is.

Shapes: B samples, T tokens, D token width, H width between fc1 and fc2, L blocks; G groups of K points of N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from methods.base import modality

if TYPE_CHECKING:
    from benchmarks.backbones.points import PointTransformer

BYTES = 4  # of a float32


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one part of a step does to a batch: a multiply-add is two operations, and only those of products count."""

    part: str
    forward_flops: int = 0
    backward_flops: int = 0
    forward_bytes: int = 0
    backward_bytes: int = 0


def account(backbone: nn.Module, batch: int, *, classes: int, points: int = 0) -> list[Work]:
    """The parts of one step of the frozen floor on B samples (clouds of ``points`` points), in float32.

    Empty for a ViT whose tokens are not those of a plain patch embedding, of which the formulas say nothing.
    """
    if isinstance(backbone, VisionTransformer):
        embed, tokens = backbone.patch_embed, backbone.num_prefix_tokens + backbone.patch_embed.num_patches
        plain = isinstance(embed, PatchEmbed)
        return [_patches(backbone, batch), *_body(backbone, batch, classes, tokens)] if plain else []
    body: Any = backbone
    return [*_cloud(body, batch, points), *_body(body, batch, classes, 1 + body.num_groups)]


def total(works: list[Work]) -> Work:
    """The sum of all parts."""
    names = ("forward_flops", "backward_flops", "forward_bytes", "backward_bytes")
    return Work(part="all", **{name: sum(getattr(work, name) for work in works) for name in names})


def freeze(backbone: nn.Module, *others: nn.Module) -> None:
    """Leave of training what no method that acts on the first block can avoid, for good.

    The loss of the frozen model, and its gradient at the first block's input; no weight gets one.
    """
    for part in (backbone, *others):
        part.requires_grad_(False)
    first: Any = backbone.blocks[0]  # type: ignore[index]
    first.register_forward_pre_hook(_ask)


def _ask(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0].detach().requires_grad_(), *args[1:])


def _body(backbone: Any, batch: int, classes: int, tokens: int) -> list[Work]:
    """The blocks, the last norm and the head."""
    depth, first, rows = len(backbone.blocks), backbone.blocks[0], batch * tokens
    products = [_linear(rows, linear) for linear in (first.attn.qkv, first.attn.proj, first.mlp.fc1, first.mlp.fc2)]
    linear = total(products)
    width = backbone.num_features
    on_points = modality(backbone) == "points"
    return [
        _times(depth, linear, "linears of the blocks"),
        _times(depth, _attention(batch, tokens, width), "attention"),
        _times(depth, _elementwise(rows, width, first.mlp.fc1.out_features, on_points), "norms, GELU, sums"),
        _end(backbone, batch, rows, classes),
    ]


def _linear(rows: int, linear: nn.Linear) -> Work:
    """y = W x + b, and the gradient of x: the weight is read in both."""
    inputs, outputs = linear.in_features, linear.out_features
    moved = (inputs * outputs + rows * (inputs + outputs)) * BYTES
    flops = 2 * rows * inputs * outputs
    return Work(part="linear", forward_flops=flops, backward_flops=flops, forward_bytes=moved, backward_bytes=moved)


def _attention(batch: int, tokens: int, width: int) -> Work:
    """Fused: scores never leave the cache, and are computed again in backward (5 products in place of 2)."""
    product = 2 * batch * tokens * tokens * width
    unit = batch * tokens * width * BYTES
    return Work(
        part="attention",
        forward_flops=2 * product,
        backward_flops=5 * product,
        forward_bytes=4 * unit,  # q, k, v; the output
        backward_bytes=8 * unit,  # q, k, v, the output and its gradient; three gradients
    )


def _elementwise(rows: int, width: int, hidden: int, on_points: bool) -> Work:
    """Two LayerNorms, GELU, two residual sums; on points the position as well, which has no backward."""
    forward = 2 * 2 * width + 2 * hidden + 2 * 3 * width + (3 * width if on_points else 0)
    backward = 2 * 3 * width + 3 * hidden + 2 * 3 * width
    return Work(part="elementwise", forward_bytes=rows * forward * BYTES, backward_bytes=rows * backward * BYTES)


def _end(backbone: Any, batch: int, rows: int, classes: int) -> Work:
    """The last norm of all tokens and a frozen linear head, whatever the head that trains is."""
    product = 2 * batch * backbone.head_hidden_size * classes
    moved = rows * backbone.num_features * BYTES
    return Work(
        part="last norm and head",
        forward_flops=product,
        backward_flops=product,
        forward_bytes=2 * moved,
        backward_bytes=3 * moved,
    )


def _patches(backbone: VisionTransformer, batch: int) -> Work:
    """The patch embedding, a product of each patch with the weights, and the sum with the positions; no gradient."""
    weight = backbone.patch_embed.proj.weight
    patches, width = backbone.patch_embed.num_patches, len(weight)
    inputs = weight[0].numel()
    tokens = batch * (patches + 1) * width
    moved = batch * patches * (inputs + width) + weight.numel() + 3 * tokens
    return Work(part="patch embedding", forward_flops=2 * batch * patches * weight.numel(), forward_bytes=moved * BYTES)


def _cloud(backbone: PointTransformer, batch: int, points: int) -> list[Work]:
    """Sampling and neighbours, which are no products; the small PointNet of each group; positions. No gradient."""
    groups, size = backbone.num_groups, backbone.group_size
    rows = batch * groups * size
    convolutions = [m for m in backbone.encoder.modules() if isinstance(m, nn.Conv1d)]
    small = [m for m in (backbone.reduce_dim, *backbone.pos_embed) if isinstance(m, nn.Linear)]
    products: list[tuple[int, Tensor]] = [(rows, module.weight) for module in convolutions]
    products += [(batch * groups, module.weight) for module in small]
    flops = sum(2 * count * weight.numel() for count, weight in products)
    moved = sum(count * (weight.shape[0] + weight.shape[1]) + weight.numel() for count, weight in products)
    # BatchNorm and ReLU after the first and the third convolution; two maxima; the concatenation of one with its input
    first, second, third, out = (conv.out_channels for conv in convolutions)
    moved += rows * (4 * first + 4 * third + second + 4 * second + out)
    # every chosen point looks at three coordinates of all points, and keeps the distance to the nearest chosen
    sampling = batch * groups * points * (3 + 2)
    distances = batch * groups * points * 2  # written by the distances, read by the choice of the nearest
    return [
        Work(part="sampling and neighbours", forward_bytes=(sampling + distances) * BYTES),
        Work(part="PointNet of groups, positions", forward_flops=flops, forward_bytes=moved * BYTES),
    ]


def _times(count: int, work: Work, part: str) -> Work:
    return Work(
        part=part,
        forward_flops=count * work.forward_flops,
        backward_flops=count * work.backward_flops,
        forward_bytes=count * work.forward_bytes,
        backward_bytes=count * work.backward_bytes,
    )
