"""timm's Eva (EVA, EVA-02, DINOv3), described for methods: rotary positions, gated FFNs, split q, k and v."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import torch
from timm.models.eva import EvaBlock

from benchmarks.backbones import vit
from methods.backbone import Backbone

if TYPE_CHECKING:
    from timm.models.eva import Eva
    from torch import Tensor


def describe(model: Eva) -> Backbone:
    """The backbone for methods. A fused qkv adds its biases after the product from now on.

    timm's attention with ``q_bias`` multiplies by the weight of qkv without calling the module, so that no hook on it
    would act. ``qkv_bias_separate`` makes it call the module; the sum is the same.

    Raises:
        UserError: the blocks are of a kind that no method can act on.
    """
    body: Any = model
    grid, embed = tuple(body.patch_embed.grid_size), body.patch_embed
    blocks = tuple(
        vit.pre_norm_block(block, f"blocks.{number}", EvaBlock, grid=grid, prefix_tokens=body.num_prefix_tokens)
        for number, block in enumerate(body.blocks)
    )
    for block in body.blocks:
        block.attn.qkv_bias_separate = True
    return Backbone(
        module=model,
        modality="image",
        stages=(blocks,),
        norm=body.norm,
        tokenizer=(embed, embed.proj),
        operations=tuple(vit.operations(body.blocks, body.norm_pre, body.norm, body.fc_norm)),
        head_hidden_size=body.head_hidden_size,
        patch_values=3 * int(prod(embed.img_size) // embed.num_patches),
        prompt_hooks=tuple((block.attn, leave_prompts_unturned) for block in body.blocks),
        sample=lambda: vit.images(model, embed.img_size),
    )


def leave_prompts_unturned(
    attn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the tokens beyond the patches, which are prompts, a rotation by zero.

    A rotation is (..., N, 2 d): the sines of d angles, then their cosines, for each of N patches.
    """
    rope: Tensor | None = kwargs.get("rope")
    if rope is None:
        return args, kwargs
    prompts = args[0].shape[1] - attn.num_prefix_tokens - rope.shape[-2]
    still = torch.ones_like(rope[..., :1, :]).expand(*rope.shape[:-2], prompts, -1).clone()
    still[..., : rope.shape[-1] // 2] = 0
    return args, {**kwargs, "rope": torch.cat([rope, still], dim=-2)}
