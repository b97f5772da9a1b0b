"""The floor of a training step: the operations and bytes that the frozen backbone costs with any method.

Shapes: B samples, T tokens, D token width, H width between fc1 and fc2, L blocks; G groups of K points of N.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmarks import backbones
from benchmarks.backbones.points import PointTransformer
from methods.backbone import modality

BYTES = 4  # per float32


class Work(NamedTuple):
    """The work of one part of a step on a batch.

    Only matrix products and convolutions count as operations, and a multiply-add counts as two.
    """

    forward_flops: int = 0
    backward_flops: int = 0
    forward_bytes: int = 0
    backward_bytes: int = 0


def account(backbone: nn.Module, batch: int, *, classes: int, points: int = 0) -> dict[str, Work]:
    """The parts of one step of the frozen floor in float32, on a batch of images or of clouds with ``points`` points.

    Returns an empty dict for other families and for a ViT without a plain patch embedding: no formula covers them.
    """
    if isinstance(backbone, VisionTransformer):
        if not isinstance(backbone.patch_embed, PatchEmbed):
            return {}
        tokens = backbone.num_prefix_tokens + backbone.patch_embed.num_patches
        return {"patch embedding": _patches(backbone, batch), **_body(backbone, batch, classes, tokens)}
    if type(backbone) is not PointTransformer:
        return {}
    body: Any = backbone
    return {**_cloud(body, batch, points), **_body(body, batch, classes, 1 + body.num_groups)}


def total(works: Iterable[Work]) -> Work:
    """The sum of all parts."""
    return Work(*map(sum, zip(*works, strict=True)))


def freeze(backbone: nn.Module, *others: nn.Module) -> None:
    """Make a training step of these modules a step of the frozen floor. This cannot be undone.

    The step computes the loss of the frozen model and its gradient at the first block's input. No weight gets a
    gradient. No method that acts on the first block can avoid either.
    """
    for part in (backbone, *others):
        part.requires_grad_(False)
    backbones.describe(backbone).blocks[0].module.register_forward_pre_hook(_require_gradient)


def _require_gradient(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (args[0].detach().requires_grad_(), *args[1:])


def _body(backbone: Any, batch: int, classes: int, tokens: int) -> dict[str, Work]:
    """The blocks, the last norm and the head."""
    first, rows, width = backbone.blocks[0], batch * tokens, backbone.num_features
    layers = (first.attn.qkv, first.attn.proj, first.mlp.fc1, first.mlp.fc2)
    block = {
        "linear layers of the blocks": total(_linear(rows, layer) for layer in layers),
        "attention": _attention(batch, tokens, width),
        "norms, GELU, residual sums": _elementwise(
            rows, width, first.mlp.fc1.out_features, on_points=modality(backbone) == "points"
        ),
    }
    blocks = {part: total([work] * len(backbone.blocks)) for part, work in block.items()}
    return blocks | {"last norm and head": _end(backbone, batch, rows, classes)}


def _linear(rows: int, linear: nn.Linear) -> Work:
    """y = W x + b and the gradient of x. The weight is read in both directions."""
    inputs, outputs = linear.in_features, linear.out_features
    moved = (inputs * outputs + rows * (inputs + outputs)) * BYTES
    flops = 2 * rows * inputs * outputs
    return Work(forward_flops=flops, backward_flops=flops, forward_bytes=moved, backward_bytes=moved)


def _attention(batch: int, tokens: int, width: int) -> Work:
    """Fused attention: the scores stay in the cache; backward computes them again (5 products against 2 in forward)."""
    product = 2 * batch * tokens * tokens * width
    unit = batch * tokens * width * BYTES
    return Work(
        forward_flops=2 * product,
        backward_flops=5 * product,
        forward_bytes=4 * unit,  # reads q, k and v, writes the output
        backward_bytes=8 * unit,  # reads q, k, v, the output and its gradient, writes three gradients
    )


def _elementwise(rows: int, width: int, hidden: int, *, on_points: bool) -> Work:
    """Two LayerNorms, GELU and two residual sums. On points, positions are added as well; that has no backward."""
    forward = 2 * 2 * width + 2 * hidden + 2 * 3 * width + (3 * width if on_points else 0)
    backward = 2 * 3 * width + 3 * hidden + 2 * 3 * width
    return Work(forward_bytes=rows * forward * BYTES, backward_bytes=rows * backward * BYTES)


def _end(backbone: Any, batch: int, rows: int, classes: int) -> Work:
    """The last norm over all tokens, and a frozen linear head, even if the head that trains is another."""
    product = 2 * batch * backbone.head_hidden_size * classes
    moved = rows * backbone.num_features * BYTES
    return Work(forward_flops=product, backward_flops=product, forward_bytes=2 * moved, backward_bytes=3 * moved)


def _patches(backbone: VisionTransformer, batch: int) -> Work:
    """The patch embedding (each patch times the weights) and the sum with the positions, without a gradient."""
    weight, patches = backbone.patch_embed.proj.weight, backbone.patch_embed.num_patches
    tokens = batch * (patches + 1) * len(weight)
    moved = batch * patches * (weight[0].numel() + len(weight)) + weight.numel() + 3 * tokens
    return Work(forward_flops=2 * batch * patches * weight.numel(), forward_bytes=moved * BYTES)


def _cloud(backbone: PointTransformer, batch: int, points: int) -> dict[str, Work]:
    """Sampling and neighbours (no products), the small PointNet over each group, and positions; without a gradient."""
    groups = backbone.num_groups
    rows = batch * groups * backbone.group_size
    convolutions = [m for m in backbone.encoder.modules() if isinstance(m, nn.Conv1d)]
    small = [m for m in (backbone.reduce_dim, *backbone.pos_embed.modules()) if isinstance(m, nn.Linear)]
    products: list[tuple[int, Tensor]] = [(rows, module.weight) for module in convolutions]
    products += [(batch * groups, module.weight) for module in small]
    flops = sum(2 * count * weight.numel() for count, weight in products)
    moved = sum(count * (weight.shape[0] + weight.shape[1]) + weight.numel() for count, weight in products)
    # BatchNorm and ReLU after the first and third convolution, two maxima, and the concatenation of one with its input
    first, second, third, out = (conv.out_channels for conv in convolutions)
    moved += rows * (4 * first + 4 * third + second + 4 * second + out)
    # each chosen point reads three coordinates of all points, and updates their distances to the nearest chosen point
    sampling = batch * groups * points * (3 + 2)
    distances = batch * groups * points * 2  # written once, then read to choose the nearest points
    return {
        "sampling and neighbours": Work(forward_bytes=(sampling + distances) * BYTES),
        "PointNet of the groups, positions": Work(forward_flops=flops, forward_bytes=moved * BYTES),
    }
