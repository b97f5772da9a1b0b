"""PointGST: adapters in the graph-spectral domain of the patches' centres (Liang et al. 2024, arXiv:2410.08114).

Shapes: B clouds, G patches, D token width, r spectral width. Code cited here is the authors', at 054230e.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.errors import check
from methods.hooks import Tap
from methods.options import at_least

if TYPE_CHECKING:
    import optuna

BITS = 16  # of a coordinate in a Morton code
STEPS = 100  # of a coordinate per unit of length, before it is cut to a whole number
ROUNDING = 1e-3  # entries of an eigenvector that differ by less are equally large


@dataclass(frozen=True, kw_only=True)
class PointGSTConfig(base.Config):
    """``local``: the number of patches of a local graph.

    ``transform``: the authors' code multiplies tokens by the matrix U whose columns are the eigenvectors ("released");
    the graph Fourier transform multiplies by its transpose ("fourier"). ``laplacian``: the authors train with D - W
    ("plain"); their code also has I - D^-1/2 W D^-1/2 ("normalized").
    """

    lr: float = 3e-3
    rank: Annotated[int, at_least(1)] = 36
    local: Annotated[int, at_least(1)] = 32
    transform: Literal["released", "fourier"] = "released"
    laplacian: Literal["plain", "normalized"] = "plain"

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), rank=trial.suggest_categorical("rank", [8, 16, 36, 64]))


def basis(centers: Tensor, laplacian: str, transform: str) -> Tensor:
    """What transforms the tokens of centres (..., G, 3): the eigenvectors (..., G, G) of their graph's Laplacian.

    They are columns for the transform "released", and rows for "fourier".

    W_ij = 1 / (d_ij / d_min + delta_ij), where d_min is the smallest distance in this graph that is not 0. The authors
    take it over the batch, so that a prediction would depend on the other clouds. Centres in one place get W_ij = 1.
    An eigenvector has two signs; here the first of its largest entries is positive (chosen here).
    """
    distance = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist")
    apart = torch.where(distance > 0, distance, torch.inf)
    weights = (apart.amin((-2, -1), keepdim=True) / apart).nan_to_num(nan=1.0)  # inf / inf: no two centres are apart
    weights = torch.where(distance > 0, weights, 1.0)
    degree = weights.sum(-1)
    if laplacian == "normalized":
        scale = degree.rsqrt()
        matrix = torch.diag_embed(torch.ones_like(degree)) - scale[..., None] * weights * scale[..., None, :]
    else:
        matrix = torch.diag_embed(degree) - weights
    vectors: Tensor = torch.linalg.eigh(matrix).eigenvectors
    size = vectors.abs()
    largest = (size > (1 - ROUNDING) * size.amax(-2, keepdim=True)).int().argmax(-2, keepdim=True)
    vectors = vectors * vectors.gather(-2, largest).sign()
    return vectors.transpose(-2, -1) if transform == "fourier" else vectors


def morton(centers: Tensor) -> Tensor:
    """Morton codes (B, G) of centres (B, G, 3): the bits of y, x and z in turn, as in the authors' code.

    A negative coordinate is in two's complement, so it follows the positive ones.
    """
    bits = torch.arange(BITS, device=centers.device)
    cut = (centers * STEPS).long()[..., None] >> bits & 1  # (B, G, 3, BITS)
    place = 3 * bits + torch.tensor([[1], [2], [0]], device=centers.device)
    return (cut << place).sum((-2, -1))


def bases(centers: Tensor, local: int, laplacian: str, transform: str) -> Tensor:
    """Centres (B, G, 3) to two bases (B, 2, G, G): of the whole graph, and of graphs of ``local`` Morton neighbours."""
    order = morton(centers).argsort(dim=1, stable=True)
    parts = centers.gather(1, order[..., None].expand_as(centers)).unflatten(1, (-1, local))
    small = basis(parts, laplacian, transform)  # (B, G / local, local, local)
    joined = torch.diag_embed(small.permute(0, 2, 3, 1)).permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)
    rank = order.argsort(dim=1)
    # the columns of ``joined`` belong to the sorted centres, those of the result to the centres as they are
    sorted_back = joined.gather(2, rank[:, None].expand_as(joined))
    return torch.stack([basis(centers, laplacian, transform), sorted_back], dim=1)


class SpectralAdapter(nn.Module):
    """(B, T, D) -> (B, T, D): Up(SiLU(z) + g + l) of z = Down x, where g and l are z adapted in the two bases.

    With a basis U: z_f = U z, z_f += SiLU(A LN(z_f)), and U^T z_f is added to the patches. A is shared, each basis has
    its own LN. A and Up are zero at the start. There are 2 D r + r + D + r^2 + 5 r parameters.
    """

    def __init__(self, dim: int, rank: int, prefix: int) -> None:
        super().__init__()
        self.prefix = prefix
        self.down, self.up = nn.Linear(dim, rank), nn.Linear(rank, dim)
        self.shared = nn.Linear(rank, rank)
        self.norms = nn.ModuleList(nn.LayerNorm(rank) for _ in range(2))
        nn.init.xavier_uniform_(self.down.weight)
        for zero in (self.shared.weight, self.shared.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor, spectral: Tensor) -> Tensor:
        z = self.down(x)
        before, patches, after = z.tensor_split([self.prefix, self.prefix + spectral.shape[-1]], dim=1)
        there = spectral @ patches[:, None].to(spectral.dtype)  # (B, 2, G, r)
        normed = torch.stack([norm(part) for norm, part in zip(self.norms, there.unbind(1), strict=True)], dim=1)
        there = there + F.silu(self.shared(normed))
        back = (spectral.transpose(-2, -1) @ there).sum(1)
        out: Tensor = self.up(torch.cat([F.silu(before), F.silu(patches) + back, F.silu(after)], dim=1))
        return out


class PointGST(Method):
    """In every block x' = h + FFN(norm2(h)) + SpectralAdapter(h), where h is what attention leaves.

    The two bases of a cloud are computed once per forward pass. With the Laplacian D - W they do not depend on d_min.
    The class token and its position train. On Point-MAE the adapters have 354,528 parameters, the tokens 768, and the
    head 267,535 for 15 classes: 622,831 together.
    """

    Config = PointGSTConfig
    published = Published(points="0.6 M")
    modalities = frozenset({"points"})

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token

    def __init__(self, backbone: Backbone, config: PointGSTConfig) -> None:
        super().__init__(backbone, config)
        self.local, self.kind = config.local, (config.laplacian, config.transform)
        self._spectral = Tap()
        self.unfreeze(backbone.parameters(backbone.class_token))
        self.adapters = nn.ModuleList(SpectralAdapter(b.width, config.rank, b.prefix_tokens) for b in backbone.blocks)
        self.read(backbone.cloud.positions, self._find_bases)
        for block, adapter in zip(backbone.blocks, self.adapters, strict=True):
            self.beside(block.ffn.out, partial(_adapt, adapter, self._spectral), source=block.ffn.norm)

    @torch.no_grad()
    def _find_bases(self, centers: Tensor) -> None:
        groups = centers.shape[1]
        local = min(self.local, groups)
        check(groups % local == 0, f"pointgst: local={local} must divide {groups}, the patches of this backbone")
        self._spectral.put(bases(centers.float(), local, *self.kind))


def _adapt(adapter: nn.Module, spectral: Tap, h: Tensor) -> Tensor:
    out: Tensor = adapter(h, spectral.look())
    return out
