"""Point-FEMAE: a point transformer with local enhancement (Zha et al. 2024, arXiv:2312.10726).

Shapes: B clouds, G groups, K neighbours, T tokens, D token width. Code cited here is the authors', at e739e9f.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from benchmarks.backbones.points import PointTransformer
from methods.parts.layers import edges, nearest, normalized

NEIGHBORS = 20
SLOPE = 0.2  # of every LeakyReLU for negative inputs


class LocalEnhancement(nn.Module):
    """Patches y (B, G, D) and their neighbours (B, G, K) -> (B, G, D), the paper's LEM.

    f(W2 max_j f(W1 [y_j - y_i; y_i])) with f = LeakyReLU(BN(.)); its 3 D^2 + 6 D weights include those of norm3.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        # convolutions as in the published files; they are applied as products
        self.conv1, self.bn1 = nn.Conv2d(2 * dim, dim, 1, bias=False), nn.BatchNorm1d(dim)
        self.conv2, self.bn2 = nn.Conv1d(dim, dim, 1, bias=False), nn.BatchNorm1d(dim)

    def forward(self, y: Tensor, near: Tensor) -> Tensor:
        found = edges(self.conv1.weight.flatten(1), y, near)  # (B, G, K, D)
        y = F.leaky_relu(normalized(self.bn1, found), SLOPE).amax(dim=2)
        return F.leaky_relu(normalized(self.bn2, F.linear(y, self.conv2.weight.flatten(1))), SLOPE)


class EnhancedBlock(Block):
    """A block of timm, and then y + LEM(norm3(y)) on the patches; what a method appended to them passes by."""

    def __init__(self, dim: int, num_heads: int, *, norm_layer: Any, drop_path: float, **options: Any) -> None:
        super().__init__(dim, num_heads, norm_layer=norm_layer, drop_path=drop_path, **options)
        self.norm3 = norm_layer(dim)
        self.lem = LocalEnhancement(dim)
        self.drop_path3 = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, near: Tensor) -> Tensor:  # type: ignore[override]
        patches, prompts = super().forward(x).tensor_split([near.shape[1]], dim=1)
        patches = patches + self.drop_path3(self.lem(self.norm3(patches), near))
        return torch.cat([patches, prompts], dim=1)


class PointFEMAE(PointTransformer):
    """Point-MAE without a class token, and with local enhancement in every block.

    27,161,088 parameters, and 27,428,623 with its 15-class head, the published 27.4 M. The pooled features are the mean
    and the maximum of the patches. Neighbours of a patch are the 20 with the nearest centres, itself among them.
    """

    prefix: ClassVar[tuple[tuple[str, str], ...]] = ()
    optional: ClassVar[frozenset[str]] = frozenset()
    block: ClassVar[type[Block]] = EnhancedBlock

    def embed(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The patches (B, G, D) of points or groups, and their places (B, G, D + 3): position and centre."""
        groups = points if points.ndim == 4 else self.prepare(points)
        x, pos = super().embed(groups)
        return x, torch.cat([pos, groups[:, :, 0]], dim=-1)

    def advance(self, x: Tensor, places: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        """Apply blocks to tokens (B, T, D) at their places (B, G, D + 3), and add their positions."""
        pos, centers = places.tensor_split([self.num_features], dim=-1)
        near = nearest(centers, NEIGHBORS)
        for block in blocks:
            x = self.through(block, self.placed(block, x, pos), near)
        return x

    def summary(self, x: Tensor, patches: Tensor) -> Tensor:
        """The first half of the pooled features: the mean of the patches, because there is no class token."""
        return patches.mean(dim=1)
