"""HTA: updates of any rank between two Householder matrices (Dong et al. 2024, arXiv:2410.22952)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Published
from methods.errors import check
from methods.parts.updates import Updates, check_targets


@dataclass(frozen=True, kw_only=True)
class HTAConfig(base.Config):
    """``targets``: the square matrices of attention that get an update."""

    lr: float = 3e-3
    targets: tuple[Literal["q", "k", "v", "proj"], ...] = ("q", "k", "v", "proj")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_targets(self.targets)


class Householder(nn.Module):
    """dW = a b^T + (I - l l^T) diag(d) (I - r r^T) of eq. 5 to 7, all vectors (D,): 5 D weights.

    The paper's matrices have no factor 2, and l and r have no fixed length. So diag(d) plus the rank-3 matrix

        [a, -l, (l . dr) l - dr] [b, dl, r]^T

    is the same dW, where dl = d * l and dr = d * r. ``forward`` multiplies with these thin matrices.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.d = nn.Parameter(torch.zeros(dim))
        self.left, self.right = (nn.Parameter(torch.randn(dim) * dim**-0.5) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        up, down = self.factors()
        return x * self.d + F.linear(F.linear(x, down), up)

    def factors(self) -> tuple[Tensor, Tensor]:
        """The rank-3 part as two factors (D, 3) and (3, D)."""
        scaled = self.d * self.right
        up = torch.stack([self.a, -self.left, self.left.dot(scaled) * self.left - scaled], dim=1)
        return up, torch.stack([self.b, self.d * self.left, self.right])

    def delta(self) -> Tensor:
        """dW (D, D)."""
        up, down = self.factors()
        return self.d.diag() + up @ down


class HTA(Updates):
    """W + a b^T + (I - l l^T) diag(d) (I - r r^T) on q, k, v and proj of every block.

    There are 184,320 parameters on ViT-B/16. With the mean head of VTAB-1K's 19 tasks they are the 0.22 M that the
    paper prints. Training starts at the backbone: a and d are zero, and b, l and r have a length of about 1 (inferred).
    """

    Config = HTAConfig
    needs_attention = True
    published = Published(image="0.22 M with a head")

    def __init__(self, backbone: Backbone, config: HTAConfig) -> None:
        super().__init__(backbone, config)
        for block in backbone.blocks:
            block.attention("hta")
            for target in config.targets:
                linear, rows = block.matrix(target, "hta")
                shape = rows.stop - rows.start, linear.in_features
                check(shape[0] == shape[1], f"hta: acts on square matrices; {target} of this backbone is {shape}")
                self.update((linear, rows), Householder(linear.in_features))
