"""GAPrompt: prompts among the points, the tokens and the shape (Ai et al. 2025, arXiv:2505.04119).

Shapes: B clouds, N points, G patches, P prompts, D token width. Code cited here is the authors', at 9ed90f2
(models/prompt_MAE.py, models/GAPrompt.py).
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
from methods.hooks import Tap
from methods.options import at_least, fraction
from methods.parts.geometry import Graph, Spread, subcenters
from methods.parts.layers import Bottleneck, leading
from methods.parts.shiftnet import SUMMARY, ShiftNet

if TYPE_CHECKING:
    import optuna

SHAPE_HIDDEN, SHAPE_DROPOUT = 16, 0.25
SHAPE_SHARE, ADAPTER_SHARE, SPREAD_SHARE = 0.5, 0.7, 0.3
POINT_BOUND = 0.01  # of the first values of the point prompts, before their factor


@dataclass(frozen=True, kw_only=True)
class GAPromptConfig(base.Config):
    """The defaults are those of the authors for PB_T50_RS.

    ``points``: how many points join the cloud, each a trained place times ``factor``. ``prompted``: the number of
    leading blocks with token prompts; by default half of them. ``perturbation``: the share of the shift of the points.
    ``propagation``: the tokens that stand at the centres, "permutation" for the first G of prompts and patches, and
    "replacement" for the patches with prompts in the place of the last ones.
    """

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 16
    points: Annotated[int, at_least(1)] = 5
    factor: float = 5.0
    perturbation: float = 0.8
    prompts: Annotated[int, at_least(1)] = 10
    prompted: int | None = None
    propagation: Literal["permutation", "replacement"] = "permutation"
    dropout: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]))


class TokenPrompts(nn.Module):
    """A bias (B, 1, D) and places (P, D) -> P prompts (B, P, D): dropout(own prompts) + 0.5 bias + places."""

    def __init__(self, dim: int, count: int, dropout: float) -> None:
        super().__init__()
        self.prompts, self.dropout = nn.Parameter(torch.zeros(count, dim)), dropout

    def forward(self, shape: Tensor, places: Tensor) -> Tensor:
        own = F.dropout(self.prompts.expand(len(shape), -1, -1), self.dropout, self.training)
        return own + SHAPE_SHARE * shape + places


class ShapeAdapter(nn.Module):
    """(B, T, D) -> (B, T, D): 0.7 up(dropout(quick_gelu(down(LN x)))); it does not start at zero."""

    def __init__(self, dim: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.bottleneck = Bottleneck(dim, hidden, act="quick_gelu", dropout=dropout, scale=ADAPTER_SHARE)
        nn.init.kaiming_uniform_(self.bottleneck.up.weight, a=5**0.5)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bottleneck(self.norm(x))
        return out


class GAPrompt(Method):
    """A shift moves the points, and trained points join them. Blocks end with patches += 0.3 Spread, x += A(x + s / 2).

    The shift's network also sums the shape up as s (B, D), by an MLP. In the first half of the blocks the tokens get P
    prompts, own prompts + s / 2 + the positions of trained places, which leave at the block's end; in the other half
    A(x) has no s. Spread is over prompts and patches together, and A leaves the class token alone, as in the authors'
    code. There Spread counts the tokens of a batch as if there were no prompts, and so mixes its clouds; here each
    cloud has its own. The code also doubles what enters Spread's BatchNorm, which takes that away.

    The head sees [class token; maximum of patches; s] (B, 3 D); its dropout is 0.6 there. Class token and position
    train too. On Point-MAE the new weights are 233,880, these 768, and the head 365,839 for 15 classes: 600,487. The
    authors' model also holds 27,660 weights that no forward pass reads.
    """

    Config = GAPromptConfig
    published = Published(points="0.6 M")
    modalities = frozenset({"points"})
    identity_at_start = False  # neither shift, prompts nor adapters start at zero
    reads_clouds = True  # it moves the points before they are grouped

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token

    def __init__(self, backbone: Backbone, config: GAPromptConfig) -> None:
        super().__init__(backbone, config)
        depth, dim, cloud = len(backbone.blocks), backbone.widths[0], backbone.cloud
        prompted = leading("gaprompt", config.prompted, depth)
        self.extra_features, self.factor, self.first_prompts = dim, config.factor, config.propagation == "permutation"
        self.shift = ShiftNet(cloud, config.perturbation)
        summary = SUMMARY * subcenters(cloud.groups)
        self.shape = nn.Sequential(
            *(nn.Linear(summary, SHAPE_HIDDEN), nn.GELU(), nn.Dropout(SHAPE_DROPOUT), nn.Linear(SHAPE_HIDDEN, dim))
        )
        self.point_prompts = nn.Parameter(torch.empty(config.points, 3).uniform_(-POINT_BOUND, POINT_BOUND))
        self.prompt_pos = nn.Parameter(nn.init.trunc_normal_(torch.empty(config.prompts, 3), std=0.06))
        self.prompts = nn.ModuleList(TokenPrompts(dim, config.prompts, config.dropout) for _ in range(prompted))
        self.adapters = nn.ModuleList(ShapeAdapter(dim, config.hidden, config.dropout) for _ in range(depth))
        self.spreads = nn.ModuleList(Spread(dim) for _ in range(depth))
        self.unfreeze(backbone.parameters(backbone.class_token))
        self._wire(backbone)

    def _wire(self, backbone: Backbone) -> None:
        cloud, self._shape, self._graph = backbone.cloud, Tap(), Graph()
        self.neighbors, self.prefix = max(1, cloud.size // 2), backbone.blocks[0].prefix_tokens
        self._farthest, self._place = cloud.farthest, cloud.positions.forward  # past every hook
        self.admit_prompts(backbone, "gaprompt")
        self.before(cloud.grouping, self._moved)
        self.read(cloud.positions, self._look)
        for number, (block, spread, adapter) in enumerate(
            zip(backbone.blocks, self.spreads, self.adapters, strict=True)
        ):
            prompted = number < len(self.prompts)
            if prompted:
                self.before(block.module, partial(self._enter, self.prompts[number]))
            self.after(block.module, partial(self._leave, spread, adapter, prompted))

    def _moved(self, points: Tensor) -> Tensor:
        """(B, N, 3) -> (B, N + points, 3): shift the points and add the trained ones; keep the shape (B, 1, D)."""
        moved, summary = self.shift(points)
        self._shape.put(self.shape(summary)[:, None])
        own = self.point_prompts.expand(points.shape[0], -1, -1) * self.factor
        return torch.cat([moved.to(points.dtype), own.to(points.dtype)], dim=1)

    def _look(self, centers: Tensor) -> None:
        self._graph.fill(centers, centers, self.neighbors, self._farthest)

    def _enter(self, prompts: nn.Module, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T + P, D): put the prompts at the end."""
        return torch.cat([x, prompts(self._shape.look(), self._place(self.prompt_pos)).to(x.dtype)], dim=1)

    def _leave(self, spread: nn.Module, adapter: nn.Module, prompted: bool, x: Tensor) -> Tensor:
        """(B, T + P, D) -> (B, T, D): the patches get what Spread and the adapter give, and the prompts go."""
        count = len(self.prompt_pos) if prompted else 0
        before, patches, prompts = x.tensor_split([self.prefix, x.shape[1] - count], dim=1)
        groups = patches.shape[1]
        kept = patches if self.first_prompts else patches[:, : max(0, groups - count)]
        standing = torch.cat([prompts, kept] if self.first_prompts else [kept, prompts], dim=1)[:, :groups]
        patches = patches + SPREAD_SHARE * spread(standing, self._graph)
        patches = patches + adapter(patches + SHAPE_SHARE * self._shape.look() if prompted else patches)
        return torch.cat([before, patches.to(x.dtype)], dim=1)

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; max of patches; shape] (B, 3 D)."""
        return torch.cat([pooled, self._shape.look()[:, 0]], dim=-1)
