"""timm's ConvNeXt, described for methods: convolutions and FFNs in four stages, without attention and prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from timm.layers import LayerNorm2d, Mlp
from torch import nn

from benchmarks.backbones import vit
from benchmarks.backbones.sequences import on_sequences
from methods.backbone import Backbone, Block, Branch, Operation
from methods.errors import check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from timm.models.convnext import ConvNeXt

SIDE = 64  # of the sample in pixels; every size works that can be halved five times


def describe(model: ConvNeXt) -> Backbone:
    """The backbone for methods. Its stages work on sequences of tokens from now on.

    Raises:
        UserError: the blocks are of a kind that no method can act on.
    """
    body: Any = model
    for stage in body.stages:
        for block in stage.blocks:
            plain = type(block.mlp) is Mlp and not block.use_conv_mlp
            kind = f"{type(block.mlp).__name__}{' of convolutions' if block.use_conv_mlp else ''}"
            check(
                plain, f"its FFN is {kind}; methods act on ConvNeXt's FFNs of two linears, as in convnext_tiny to large"
            )
    on_sequences(model)
    stages = tuple(
        tuple(_block(block, f"stages.{s}.blocks.{b}") for b, block in enumerate(stage.blocks))
        for s, stage in enumerate(body.stages)
    )
    operations = tuple(_operations(body))
    last = body.head.norm if isinstance(body.head.norm, nn.LayerNorm) else body.norm_pre
    return Backbone(
        module=model,
        modality="image",
        stages=stages,
        norm=last,
        tokenizer=(body.stem, body.stem[-1]),
        operations=operations,
        channels_first=(
            *body.stem.modules(),
            *(operation for operation in operations if isinstance(operation, (nn.Conv2d, LayerNorm2d))),
        ),
        head_hidden_size=body.head_hidden_size,
        patch_values=3 * body.stem[0].kernel_size[0] ** 2,
        no_prompts="prompts act through attention, and ConvNeXt has none",
        sample=lambda: torch.zeros(1, 3, SIDE, SIDE, device=next(model.parameters()).device),
    )


def _block(block: Any, name: str) -> Block:
    targets = vit.ffn_linears(block.mlp)
    ffn = Branch(norm=block.norm, inner=block.mlp, out=block.drop_path, reads=vit.readers(targets, vit.FFN_READERS))
    return Block(
        module=block,
        name=name,
        width=targets["fc2"].out_features,
        attn=None,
        ffn=ffn,
        targets=targets,
        grid=None,
        prefix_tokens=0,
    )


def _operations(body: Any) -> Iterator[Operation]:
    for part in (body.stages, body.norm_pre, body.head.norm):
        yield from (m for m in part.modules() if isinstance(m, (nn.LayerNorm, nn.Linear, nn.Conv2d)))
