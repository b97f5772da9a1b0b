"""PointGPT: a causal point transformer (Chen et al. 2023, arXiv:2305.11487).

Shapes: B clouds, G groups, T tokens, D token width. Code cited here is the authors', at 8cfbbda and c4ccbde.
"""

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.backbones.grouping import chain
from benchmarks.backbones.points import PointTransformer


class SinePositions(nn.Module):
    """Centres (B, G, 3) -> (B, G, D): sin(2 pi c), cos(2 pi c) of each coordinate c in turn, over and over.

    It is a sine embedding of one frequency, because the authors' code (models/PointGPT.py) gives it the temperature 1.
    Each coordinate fills D / 3 features, rounded down to an even number. Zeros fill the rest.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.waves = dim, dim // 3 // 2

    def forward(self, centers: Tensor) -> Tensor:
        angles = 2 * math.pi * centers
        wave = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (B, G, 3, 2)
        features = wave.repeat(1, 1, 1, self.waves).flatten(2)
        return F.pad(features, (0, self.dim - features.shape[-1]))


class CausalBlock(Block):
    """x = norm1(x), x = x + MHA(x), x + FFN(norm2(x)): the residual stream itself is normalised (models/GPT.py).

    No token attends to a later one. ``own`` is the number of tokens of the backbone. What a method appended to them
    counts as placed after the first two tokens, the latest first: so all patches attend to prompts.
    """

    def forward(self, x: Tensor, own: int) -> Tensor:  # type: ignore[override]
        x = self.norm1(x)
        x = x + self.drop_path1(self.attn(x, attn_mask=causal_mask(x, own)))
        out: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return out


class PointGPT(PointTransformer):
    """The extractor of PointGPT on [start of sequence, class token, patches], as its authors fine-tune it.

    Each patch is followed by the nearest that is left. In fine-tuning the start token has the position ``cls_pos`` and
    the class token ``sos_pos``. Before pooling come two norms, of which the second is not pretrained. The class token
    attends to the start token alone, so it is the same for all clouds; patches attend to it.

    The generator, which restores points as a second task of fine-tuning, is left out. The published counts of 29.2 M,
    120.5 M and 360.5 M include it: of them 22.1 M, 92.0 M and 309.9 M are this class and its 15-class head.
    """

    prefix: ClassVar[tuple[tuple[str, str], ...]] = (("sos", "cls_pos"), ("cls_token", "sos_pos"))
    optional: ClassVar[frozenset[str]] = PointTransformer.optional | {"cls_norm.weight", "cls_norm.bias"}
    block: ClassVar[type[Block]] = CausalBlock

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.cls_norm = nn.LayerNorm(self.num_features)

    def make_positions(self, dim: int, hidden: int) -> nn.Module:
        """What maps centres (B, G, 3) to their positions (B, G, D); it has no weights."""
        return SinePositions(dim)

    def prepare(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) to groups (B, G, 1 + K, 3), as in every point transformer, but in the order of a chain."""
        groups = super().prepare(points)
        order = chain(groups[:, :, 0])
        return groups.gather(1, order[:, :, None, None].expand(-1, -1, *groups.shape[2:]))

    def through(self, block: nn.Module, *args: object) -> Tensor:
        """The output of a causal block."""
        return super().through(block, *args, self.num_prefix_tokens + self.num_groups)

    def normalized(self, x: Tensor) -> Tensor:
        """The tokens after both norms."""
        out: Tensor = self.cls_norm(super().normalized(x))
        return out


def causal_mask(x: Tensor, own: int) -> Tensor:
    """What is added to the scores of tokens (B, T, D), of which ``own`` are the backbone's: (T, T), 0 or -inf.

    With P prompts at the end the order is [0, 1, T - 1, ..., T - P, 2, ..., own - 1]. As in the code for DAPT on
    PointGPT by the authors of DAPT and PointGST (models/GPT_DAPT.py of PointGST at 78bcdda).
    """
    prompts = x.shape[1] - own
    place = torch.arange(x.shape[1], device=x.device)
    place = torch.cat([place[:2], place[2:own] + prompts, place[2 : 2 + prompts].flip(0)])
    return torch.zeros(len(place), len(place), dtype=x.dtype, device=x.device).masked_fill(
        place > place[:, None], -torch.inf
    )
