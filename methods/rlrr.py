"""RLRR: pretrained weights rescaled by a residual of rank one (Dong et al. 2024, arXiv:2403.19067)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.backbone import Backbone, Operation
from methods.base import Published
from methods.parts.layers import add_bias, is_norm
from methods.ssf import SSF, SSFConfig


@dataclass(frozen=True, kw_only=True)
class RLRRConfig(SSFConfig):
    lr: float = 1e-2


class Rescaling(nn.Module):
    """W' = W + W * (line column^T) and b' = b + shift for each of ``matrices`` stacked in one linear.

    A fused qkv is three matrices, each with a ``column`` of its own. ``line`` and ``shift`` are as long as the output.
    So there are matrices * in + 2 out weights.
    """

    def __init__(self, in_features: int, out_features: int, matrices: int) -> None:
        super().__init__()
        self.shape = matrices, out_features // matrices, in_features
        self.line = nn.Parameter(torch.empty(out_features).uniform_(-1, 1))
        bound = in_features**-0.5
        self.column = nn.Parameter(torch.empty(matrices * in_features).uniform_(-bound, bound))
        self.shift = nn.Parameter(torch.zeros(out_features))

    def applied(self, linear: nn.Linear) -> tuple[Tensor, Tensor]:
        """The weight (out, in) and the bias (out,) of this linear after rescaling."""
        matrices, rows, columns = self.shape
        outer = self.line.view(matrices, rows, 1) * self.column.view(matrices, 1, columns)
        weight = linear.weight + linear.weight * outer.flatten(0, 1)
        return weight, self.shift if linear.bias is None else linear.bias + self.shift


def _rescaled(part: Rescaling, linear: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, *part.applied(linear))


class RLRR(SSF):
    """W' = W + W * (line column^T), b' = b + shift on every linear of the blocks, and SSF's parts elsewhere.

    On ViT-B/16 the blocks' q, k, v, proj, fc1 and fc2 have 248,832 parameters. SSF's scales and shifts, after the
    tokenizer and every LayerNorm, have 39,936. Together they are 288,768; with the mean head of VTAB-1K's 19 tasks they
    are the 0.33 M that the paper prints.

    The paper draws both vectors as Kaiming does. Here they are drawn as torch draws the linears (out, 1) and (1, in),
    and the shift starts at zero (inferred). Before ``merge`` a linear costs twice: its own product is not used.
    """

    Config = RLRRConfig
    published = Published(image="0.33 M with a head")

    def __init__(self, backbone: Backbone, config: RLRRConfig) -> None:
        super().__init__(backbone, config)
        self.rescalings = nn.ModuleList()
        self._rescaled: list[tuple[nn.Linear, Rescaling]] = []
        for block in backbone.blocks:
            for name, linear in block.targets.items():
                part = Rescaling(linear.in_features, linear.out_features, 3 if name == "qkv" else 1)
                self.rescalings.append(part)
                self._rescaled.append((linear, part))
                self.instead(linear, partial(_rescaled, part, linear))

    @classmethod
    def places(cls, backbone: Backbone) -> list[tuple[nn.Module, Operation]]:
        """The tokenizer and every LayerNorm."""
        return [backbone.tokenizer, *((same, same) for same in backbone.operations if is_norm(same))]

    @torch.no_grad()
    def merge(self) -> None:
        """Fold every part into the weights for good. Some tokenizers keep the hook of theirs, as in SSF."""
        super().merge()
        for linear, part in self._rescaled:
            linear.weight.copy_(part.applied(linear)[0])
            add_bias(linear, part.shift.clone())
        self._rescaled.clear()
