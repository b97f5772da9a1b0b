"""timm's VisionTransformer in all its kinds, described for methods. Its blocks serve other families as well."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, cast

import torch
from timm.models.vision_transformer import Block as ViTBlock
from torch import nn

from methods.backbone import Backbone, Block, Branch, Operation
from methods.errors import check
from methods.parts.layers import is_norm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from timm.models.vision_transformer import VisionTransformer
    from torch import Tensor

READERS = ("qkv", "q", "k", "v", "gate")  # of the input of attention
FFN_READERS = ("fc1", "fc1_g", "fc1_x")  # of the input of the FFN
FFNS = ({"fc1", "fc2"}, {"fc1_g", "fc1_x", "fc2"})  # the linears of the FFNs that methods can act on
SUPPORTED = "methods act on blocks with attention and then an FFN of linears, each after its norm"


def describe(model: VisionTransformer) -> Backbone:
    """Raises UserError: the blocks are of a kind that no method can act on."""
    body: Any = model
    grid, embed = tuple(body.patch_embed.grid_size), body.patch_embed
    blocks = tuple(
        pre_norm_block(block, f"blocks.{number}", ViTBlock, grid=grid, prefix_tokens=body.num_prefix_tokens)
        for number, block in enumerate(body.blocks)
    )
    norm: Any = getattr(embed, "norm", None)
    return Backbone(
        module=model,
        modality="image",
        stages=(blocks,),
        norm=body.norm,
        tokenizer=(embed, cast("Operation", norm) if is_norm(norm) else embed.proj),
        operations=tuple(operations(body.blocks, body.norm_pre, body.norm, body.fc_norm)),
        head_hidden_size=body.head_hidden_size,
        patch_values=3 * int(prod(embed.img_size) // embed.num_patches),
        resumable=True,
        sample=lambda: images(model, embed.img_size),
    )


def pre_norm_block(
    block: Any, name: str, kind: type[nn.Module], *, grid: tuple[int, int] | None, prefix_tokens: int
) -> Block:
    """A block with norm1, attn, drop_path1, norm2, mlp and drop_path2, as timm names them.

    Raises:
        UserError: the block is of another kind, or its attention or FFN has other linears than those known here.
    """
    found = type(block).__name__
    check(isinstance(block, kind), f"its blocks are {found}; {SUPPORTED} ({kind.__name__} of timm)")
    targets = {**attention_linears(block.attn), **ffn_linears(block.mlp)}
    return Block(
        module=block,
        name=name,
        width=targets["fc2"].out_features,
        attn=Branch(norm=block.norm1, inner=block.attn, out=block.drop_path1, reads=readers(targets, READERS)),
        ffn=Branch(norm=block.norm2, inner=block.mlp, out=block.drop_path2, reads=readers(targets, FFN_READERS)),
        targets=targets,
        grid=grid,
        prefix_tokens=prefix_tokens,
    )


def attention_linears(attn: nn.Module) -> dict[str, nn.Linear]:
    """The linears of an attention module by their standard names.

    Raises:
        UserError: there is neither a fused qkv nor q, k and v, or no proj.
    """
    own = {name.removesuffix("_proj"): m for name, m in attn.named_children() if isinstance(m, nn.Linear)}
    fits = "proj" in own and ("qkv" in own or {"q", "k", "v"} <= set(own))
    check(fits, f"its attention is {type(attn).__name__} with {', '.join(own) or 'no linears'}; {SUPPORTED}")
    return own


def ffn_linears(mlp: nn.Module) -> dict[str, nn.Linear]:
    """The linears of an FFN by their standard names.

    Raises:
        UserError: it has others than fc1 and fc2, or fc1_g, fc1_x and fc2.
    """
    own = {name: m for name, m in mlp.named_children() if isinstance(m, nn.Linear)}
    check(set(own) in FFNS, f"its FFN is {type(mlp).__name__} with {', '.join(own) or 'no linears'}; {SUPPORTED}")
    return own


def readers(targets: Mapping[str, nn.Linear], names: tuple[str, ...]) -> tuple[nn.Linear, ...]:
    """The targets of these names, as far as there are any."""
    return tuple(targets[name] for name in names if name in targets)


def operations(blocks: nn.Module, *around: nn.Module) -> Iterator[Operation]:
    """Every linear and LayerNorm of the blocks, and the LayerNorms among the modules around them."""
    yield from (m for m in blocks.modules() if isinstance(m, (nn.LayerNorm, nn.Linear)))
    yield from (m for m in around if isinstance(m, nn.LayerNorm))


def images(model: nn.Module, size: tuple[int, int]) -> Tensor:
    """A grey image (1, 3, H, W), on the device of the weights."""
    return torch.zeros(1, 3, *size, device=next(model.parameters()).device)
