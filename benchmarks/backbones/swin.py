"""timm's SwinTransformer, described for methods: attention in windows, four stages of growing width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from benchmarks.backbones import vit
from benchmarks.backbones.sequences import on_sequences
from methods.backbone import Backbone, Block, Branch, Operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from timm.models.swin_transformer import SwinTransformer


def describe(model: SwinTransformer) -> Backbone:
    """The backbone for methods. Its stages work on sequences of tokens from now on."""
    on_sequences(model)
    body: Any = model
    embed = body.patch_embed
    stages = tuple(
        tuple(_block(block, f"layers.{s}.blocks.{b}", stage.output_resolution) for b, block in enumerate(stage.blocks))
        for s, stage in enumerate(body.layers)
    )
    return Backbone(
        module=model,
        modality="image",
        stages=stages,
        norm=body.norm,
        tokenizer=(embed, embed.norm if isinstance(embed.norm, nn.LayerNorm) else embed.proj),
        operations=tuple(_operations(body)),
        head_hidden_size=body.head_hidden_size,
        patch_values=3 * embed.patch_size[0] * embed.patch_size[1],
        sample=lambda: vit.images(model, embed.img_size),
    )


def _block(block: Any, name: str, grid: tuple[int, int]) -> Block:
    targets = {**vit.attention_linears(block.attn), **vit.ffn_linears(block.mlp)}
    attn_reads, ffn_reads = (vit.readers(targets, names) for names in (vit.READERS, vit.FFN_READERS))
    return Block(
        module=block,
        name=name,
        width=block.dim,
        attn=Branch(norm=block.norm1, inner=block.windowed, out=block.drop_path1, reads=attn_reads),
        ffn=Branch(norm=block.norm2, inner=block.mlp, out=block.drop_path2, reads=ffn_reads),
        targets=targets,
        grid=grid,
        prefix_tokens=0,
    )


def _operations(body: Any) -> Iterator[Operation]:
    for stage in body.layers:
        if not isinstance(stage.downsample, nn.Identity):
            yield from (stage.downsample.norm, stage.downsample.reduction)
        yield from vit.operations(stage.blocks)
    yield body.norm
