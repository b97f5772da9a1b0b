"""Point-PEFT: prompts from remembered training clouds, geometry-aware adapters (Tang et al. 2024, arXiv:2310.03059).

Shapes: B clouds, G patches, P prompts, S sub-centres, K neighbours, D token width. Code cited here is the authors', at
3b0f64b (MAE/models/Point_Mask_Rev_FT_scan_cp.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.hooks import Tap
from methods.options import at_least, fraction
from methods.parts.geometry import Graph, SmallAttention, Spread
from methods.parts.layers import Bottleneck, leading
from methods.parts.memory import Memory
from methods.protocols import Trainer

if TYPE_CHECKING:
    import optuna

PROMPT_HIDDEN = 8  # of the adapter of the prompts
FFN_SHARE, SPREAD_SHARE = 0.7, 0.3


@dataclass(frozen=True, kw_only=True)
class PointPEFTConfig(base.Config):
    """``prompted``: the number of leading blocks with prompts; by default half of them, 6 of the 12 of Point-MAE.

    ``near``: the training clouds whose features become prompts; there are near + 2 prompts. ``idle``: also hold the
    62,268 weights of the authors' model that no forward pass reads, so that its count is the published one.
    """

    lr: float = 3e-3
    hidden: Annotated[int, at_least(1)] = 16
    near: Annotated[int, at_least(1)] = 8
    neighbors: Annotated[int, at_least(1)] = 16
    prompted: int | None = None
    dropout: Annotated[float, fraction] = 0.1
    idle: bool = False

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]))


def _adapter(dim: int, hidden: int, dropout: float) -> Bottleneck:
    """up(dropout(quick_gelu(down(x)))) that does not start at zero."""
    adapter = Bottleneck(dim, hidden, act="quick_gelu", dropout=dropout)
    nn.init.xavier_uniform_(adapter.down.weight)
    nn.init.xavier_uniform_(adapter.up.weight)
    return adapter


class PriorPrompts(nn.Module):
    """What the memory tells of a cloud, c (B, P, D) -> P prompts: dropout(own prompts) + c + adapter(c)."""

    def __init__(self, dim: int, count: int, dropout: float) -> None:
        super().__init__()
        self.prompts = nn.Parameter(nn.init.trunc_normal_(torch.empty(count, dim), std=0.02))
        self.adapter, self.dropout = _adapter(dim, PROMPT_HIDDEN, dropout), dropout

    def forward(self, told: Tensor) -> Tensor:
        own = F.dropout(self.prompts.expand_as(told), self.dropout, self.training)
        out: Tensor = own + told + self.adapter(told)
        return out


class PointPEFT(Method):
    """Per block m = FFN(norm2(h)), x' = h + m + 0.7 A(m); patches += 0.3 Spread(prompts, patches); x += A'(x).

    The first half of the blocks has prompts, made from the memory: f is the maximum of the frozen backbone's patches.
    The ``near`` training clouds M with the largest cosines to f, weighed by the softmax w of these, tell
    [f; sum w M; M]. ``fit`` finds their features before training, and the task file keeps them all. Before that the
    memory is empty, and f stands in for each of them.

    The frozen backbone runs beside the trained one, as in the authors' code; here it has the class token. Prompts have
    trained places, by which they take part in Spread (inferred: the released code looks neighbours up in a sequence
    without the prompts, and so mixes the clouds of a batch). Drop-path is in the backbone's own branches alone.

    Biases of proj, fc1, fc2 and norms, the last norm, the class token and its position train. On Point-MAE they have
    38,400 parameters, the new weights 404,814, and the head 267,535 for 15 classes: 710,749; with ``idle`` 773,017.
    """

    Config = PointPEFTConfig
    published = Published(points="0.7 M", options={"idle": True})
    modalities = frozenset({"points"})
    identity_at_start = False  # adapters and prompts do not start at zero

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token | backbone.names(_trained(backbone))

    def __init__(self, backbone: Backbone, config: PointPEFTConfig) -> None:
        super().__init__(backbone, config)
        depth, dim, self.count = len(backbone.blocks), backbone.widths[0], config.near + 2
        prompted = leading("pointpeft", config.prompted, depth)
        self.memory = Memory(backbone, config.near)
        self.cost: dict[str, Any] = {}
        self.prompt_pos = nn.Parameter(nn.init.trunc_normal_(torch.empty(self.count, 3), std=0.02))
        self.priors = nn.ModuleList(PriorPrompts(dim, self.count, config.dropout) for _ in range(prompted))
        self.widenings, self.adapters = (
            nn.ModuleList(_adapter(dim, config.hidden, config.dropout) for _ in range(depth)) for _ in range(2)
        )
        self.spreads, self.attention = nn.ModuleList(Spread(dim) for _ in range(depth)), SmallAttention(dim)
        if config.idle:  # prompts and their adapters of the other blocks, and one number per block
            unread = sum(p.numel() for p in self.priors[0].parameters())
            self.idle = nn.Parameter(torch.zeros(depth + (depth - prompted) * unread))
        self.unfreeze(backbone.parameters(self.unfrozen(backbone)))
        self._wire(backbone, config.neighbors)

    def _wire(self, backbone: Backbone, neighbors: int) -> None:
        cloud, self._neighbors = backbone.cloud, neighbors
        self._farthest, self._offsets, self._told = cloud.farthest, Tap(), Tap()
        self._with_prompts, self._alone = Graph(), Graph()
        self.admit_prompts(backbone, "pointpeft")
        self.read(cloud.encoder, self._offsets.put)
        self.read(cloud.positions, self._look)
        parts = zip(backbone.blocks, self.widenings, self.spreads, self.adapters, strict=True)
        for number, (block, widening, spread, adapter) in enumerate(parts):
            prompted = number < len(self.priors)
            if prompted:
                self.before(block.module, partial(_enter, self.priors[number], self._told), tokens=True)
            self.after(block.ffn.out, partial(_widen, widening))
            graph, count = (self._with_prompts, self.count) if prompted else (self._alone, 0)
            spreading = partial(spread, graph=graph, mixed=self.attention)
            self.after(block.module, partial(_leave, spreading, adapter, block.prefix_tokens, count))

    def _look(self, centers: Tensor) -> None:
        """Ask the memory about the clouds with these centres (B, G, 3), and find the graphs of their places."""
        groups = torch.cat([centers[:, :, None], centers[:, :, None] + self._offsets.take()], dim=2)
        self._told.put(self.memory(groups))
        places = torch.cat([self.prompt_pos.expand(centers.shape[0], -1, -1), centers], dim=1)
        self._with_prompts.fill(places, centers, self._neighbors, self._farthest)
        self._alone.fill(centers, centers, self._neighbors, self._farthest)

    def fit(self, trainer: Trainer) -> None:
        """Remember the training clouds, then train."""
        kept = trainer.kept("memory")
        if kept is None:
            start = time.perf_counter()
            bank = self.memory.of(trainer.x[..., :3], trainer.eval_batch_size, partial(trainer.tell, "memory"))
            self.cost = {"clouds": len(bank), "seconds": time.perf_counter() - start}
            trainer.keep("memory", {"bank": bank.cpu()}, self.cost)
        else:
            bank, self.cost = kept[0]["bank"], kept[1]
        self.memory.remember(bank)
        trainer.train()

    def epochs(self, epochs: int) -> float:
        """The memory costs about a third of an epoch, one forward pass."""
        return epochs + 1 / 3

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """What the memory cost."""
        return super().report(trainer) | {"memory": self.cost}


def _trained(backbone: Backbone) -> Iterator[nn.Parameter]:
    """The biases of the blocks that train, and the last norm."""
    for block in backbone.blocks:
        linears = [linear for name, linear in block.targets.items() if name == "proj" or name.startswith("fc")]
        for module in (*linears, block.ffn.norm, block.attention("pointpeft").norm):
            yield from (p for name, p in module.named_parameters() if name == "bias")
    yield from backbone.norm.parameters()


def _enter(prior: nn.Module, told: Tap, x: Tensor) -> Tensor:
    """(B, T, D) -> (B, T + P, D): prompts at the end."""
    return torch.cat([x, prior(told.look()).to(x.dtype)], dim=1)


def _widen(adapter: nn.Module, m: Tensor) -> Tensor:
    """m + 0.7 A(m) of what drop-path leaves of the FFN."""
    out: Tensor = m + FFN_SHARE * adapter(m)
    return out


def _leave(spread: Callable[[Tensor], Tensor], adapter: nn.Module, prefix: int, count: int, x: Tensor) -> Tensor:
    """(B, T + P, D) -> (B, T, D): the patches get what reaches them, all get the adapter, and the prompts go."""
    before, patches, prompts = x.tensor_split([prefix, x.shape[1] - count], dim=1)
    patches = patches + SPREAD_SHARE * spread(torch.cat([prompts, patches], dim=1))
    x = torch.cat([before, patches.to(x.dtype)], dim=1)
    out: Tensor = x + adapter(x)
    return out
