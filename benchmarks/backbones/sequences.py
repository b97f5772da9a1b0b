"""timm's stages of Swin and ConvNeXt on token sequences, so that methods act on them as on any transformer.

timm hands grids of patches from block to block. Here a stage turns its grid into a sequence of tokens, hands that from
block to block, and turns it back into a grid after the last one. The weights, their names and the computed function
stay as they are. Tokens after the patches are prompts; they are dropped at the end of the stage.

Shapes: B images, H x W patches, N = H W + P tokens with P prompts, D token width, A tokens of a window.
"""

from typing import Any

import torch
import torch.nn.functional as F
from timm.models.convnext import ConvNeXtBlock, ConvNeXtStage
from timm.models.swin_transformer import SwinTransformerBlock, SwinTransformerStage, window_partition, window_reverse
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

Grid = tuple[int, int]


class WindowedAttention(nn.Module):
    """The attention of a Swin block on a sequence (B, N, D). It has no weights; those of the block's ``attn`` serve.

    Every window sees all prompts. What attention makes of a prompt is the mean over the windows, as in VPT's code for
    Swin (Jia et al. 2022, arXiv:2203.12119).
    """

    def forward(self, x: Tensor, block: Any, grid: Grid) -> Tensor:
        patches, prompts = x[:, : grid[0] * grid[1]].unflatten(1, grid), x[:, grid[0] * grid[1] :]
        if not prompts.shape[1]:
            out: Tensor = block._attn(patches).flatten(1, 2)
            return out
        size, shift = block.window_size, block.shift_size
        shifted = torch.roll(patches, (-shift[0], -shift[1]), (1, 2)) if any(shift) else patches
        shifted = F.pad(shifted, (0, 0, 0, -grid[1] % size[1], 0, -grid[0] % size[0]))
        windows = window_partition(shifted, size).flatten(1, 2)  # (B * windows, A, D)
        repeated = prompts.repeat_interleave(windows.shape[0] // x.shape[0], dim=0)
        mask = block.get_attn_mask(shifted) if block.dynamic_mask else block.attn_mask
        seen = _attend(block.attn, torch.cat([windows, repeated], dim=1), mask)
        windows, repeated = seen[:, : block.window_area], seen[:, block.window_area :]
        back = window_reverse(windows.unflatten(1, size), size, *shifted.shape[1:3])[:, : grid[0], : grid[1]]
        back = torch.roll(back, shift, (1, 2)) if any(shift) else back
        return torch.cat([back.flatten(1, 2), repeated.unflatten(0, (x.shape[0], -1)).mean(1)], dim=1)


def _attend(attn: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """timm's WindowAttention for windows with prompts (B * windows, A + P, D); prompts have no position and no mask."""
    count, tokens, _ = x.shape
    prompts = tokens - attn.window_area
    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, -1)).permute(2, 0, 3, 1, 4)
    bias = F.pad(attn._get_rel_pos_bias(), (0, prompts, 0, prompts))
    if mask is not None:
        own = F.pad(mask, (0, prompts, 0, prompts))[None, :, None].expand(count // len(mask), -1, -1, -1, -1)
        bias = bias + own.flatten(0, 1)
    dropout = attn.attn_drop.p if attn.training else 0.0
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=dropout, scale=attn.scale)
    mixed: Tensor = attn.proj_drop(attn.proj(out.transpose(1, 2).flatten(2)))
    return mixed


class SequenceSwinBlock(SwinTransformerBlock):
    """A Swin block (B, N, D) -> (B, N, D). ``windowed`` is added to timm's block; it has no weights."""

    windowed: WindowedAttention

    def forward(self, x: Tensor, grid: Grid) -> Tensor:  # type: ignore[override]
        x = x + self.drop_path1(self.windowed(self.norm1(x), self, grid))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class SequenceConvNeXtBlock(ConvNeXtBlock):
    """A ConvNeXt block (B, H W, D) -> (B, H W, D)."""

    def forward(self, x: Tensor, grid: Grid) -> Tensor:  # type: ignore[override]
        mixed = self.conv_dw(x.unflatten(1, grid).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(1, 2)
        update = self.mlp(self.norm(mixed))
        out: Tensor = x + self.drop_path(update if self.gamma is None else update * self.gamma)
        return out


def _run(stage: Any, x: Any, grid: Grid) -> Any:
    """The blocks of a stage on (B, H W, D). What is left of the sequence after H W tokens is dropped."""
    for block in stage.blocks:
        x = checkpoint(block, x, grid, use_reentrant=False) if stage.grad_checkpointing else block(x, grid)
    return x[:, : grid[0] * grid[1]]


class SequenceSwinStage(SwinTransformerStage):
    """(B, H', W', D') -> (B, H, W, D), with sequences between its blocks."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        grid = (x.shape[1], x.shape[2])
        out: Tensor = _run(self, x.flatten(1, 2), grid).unflatten(1, grid)
        return out


class SequenceConvNeXtStage(ConvNeXtStage):
    """(B, D', H', W') -> (B, D, H, W), with sequences between its blocks."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.downsample(x)
        grid = (x.shape[2], x.shape[3])
        out: Tensor = _run(self, x.permute(0, 2, 3, 1).flatten(1, 2), grid).unflatten(1, grid).permute(0, 3, 1, 2)
        return out


KINDS: dict[type[nn.Module], type[nn.Module]] = {
    SwinTransformerStage: SequenceSwinStage,
    SwinTransformerBlock: SequenceSwinBlock,
    ConvNeXtStage: SequenceConvNeXtStage,
    ConvNeXtBlock: SequenceConvNeXtBlock,
}


def on_sequences(model: nn.Module) -> None:
    """Let the stages and blocks of a model work on sequences from now on. A second time changes nothing."""
    for module in list(model.modules()):
        if type(module) in KINDS:
            module.__class__ = KINDS[type(module)]
            if isinstance(module, SequenceSwinBlock):
                module.windowed = WindowedAttention()
