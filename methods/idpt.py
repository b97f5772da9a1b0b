"""IDPT: a prompt made from each cloud by a dynamic graph CNN (Zha et al. 2023, arXiv:2304.07221).

Shapes: B clouds, G patches, K neighbours, D token width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
from methods.options import LATER, at_least
from methods.parts.layers import between, edges, nearest, normalized, set_aside

if TYPE_CHECKING:
    import optuna

SLOPE = 0.2  # of every LeakyReLU for negative inputs


@dataclass(frozen=True, kw_only=True)
class IDPTConfig(base.Config):
    """``block``: the first block that sees the prompt, counted from 0; by default the last, 11 of the 12 of Point-MAE.

    ``head``: what the head sees, "all" of [class; prompt; max of patches] or the "prompt" alone. The authors' code has
    block 6 for OBJ_ONLY, and head "prompt" for OBJ_BG.
    """

    lr: float = 1e-2
    neighbors: Annotated[int, at_least(1)] = 20
    block: int | None = None
    head: Literal["all", "prompt"] = field(default="all", metadata=LATER)

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), neighbors=trial.suggest_categorical("neighbors", [4, 8, 20]))


class EdgeConv(nn.Module):
    """Patches (B, G, D) -> (B, G, D): the maximum over neighbours j of LeakyReLU(BN(W [y_j - y_i; y_i])).

    The neighbours of patch i are the K patches nearest to it in feature space, itself among them.
    """

    def __init__(self, dim: int, neighbors: int) -> None:
        super().__init__()
        self.neighbors = neighbors
        self.linear = nn.Linear(2 * dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, y: Tensor) -> Tensor:
        found = edges(self.linear.weight, y, nearest(y, self.neighbors))  # (B, G, K, D)
        return F.leaky_relu(normalized(self.norm, found), SLOPE).amax(dim=2)


class PromptNetwork(nn.Module):
    """Patches (B, G, D) -> one prompt (B, 1, D): three EdgeConvs, a fusion of their outputs, the maximum over patches.

    It has 9 D^2 + 8 D parameters: 1,330,176 at D = 384. Under gradient checkpointing the statistics of its BatchNorms
    move twice per step, both times towards the same batch.
    """

    def __init__(self, dim: int, neighbors: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(EdgeConv(dim, neighbors) for _ in range(3))
        self.fuse = nn.Linear(3 * dim, dim, bias=False)
        self.norm = nn.BatchNorm1d(dim)

    def forward(self, y: Tensor) -> Tensor:
        outputs = []
        for conv in self.convs:
            y = conv(y)
            outputs.append(y)
        fused = normalized(self.norm, self.fuse(torch.cat(outputs, dim=-1)))
        return F.leaky_relu(fused, SLOPE).amax(dim=1, keepdim=True)


class IDPT(Method):
    """Before block p a prompt made from the patches joins the sequence for good. The head sees it too.

    The prompt has no position; the authors give it a random one that never trains. The class token and its position
    train. On Point-MAE the network, these tokens and the head of three parts for 15 classes have
    1,330,176 + 768 + 365,839 = 1,696,783 parameters; with head "prompt" they have 1,500,175.
    """

    Config = IDPTConfig
    published = Published(points="1.7 M")
    modalities = frozenset({"points"})
    pooled_options = frozenset({"head"})
    identity_at_start = False  # attention sees the prompt from the first step on

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token

    def __init__(self, backbone: Backbone, config: IDPTConfig) -> None:
        super().__init__(backbone, config)
        dim, last = backbone.widths[0], len(backbone.blocks) - 1
        block = last if config.block is None else config.block
        check(1 <= block <= last, f"idpt: block={block} must be from 1 to {last}, the last of this backbone")
        self.network = PromptNetwork(dim, config.neighbors)
        self.prompt_alone = config.head == "prompt"
        self.extra_features = -dim if self.prompt_alone else dim
        self._prompt = Tap()
        self.unfreeze(backbone.parameters(backbone.class_token))
        # the output of the block before has no position added to it yet
        self.admit_prompts(backbone, "idpt")
        prefix = backbone.blocks[block].prefix_tokens
        self.after(backbone.blocks[block - 1].module, partial(_extend, self.network, prefix))
        self.after(backbone.norm, partial(set_aside, 1, self._prompt))

    def features(self, pooled: Tensor) -> Tensor:
        """[class; max of patches] (B, 2 D) -> [class; prompt; max of patches] (B, 3 D), or the prompt alone (B, D)."""
        prompt = self._prompt.take()[:, 0]
        return prompt if self.prompt_alone else between(pooled, prompt)


def _extend(network: PromptNetwork, prefix: int, x: Tensor) -> Tensor:
    """``prefix`` tokens and the patches (B, T, D) -> these and the prompt (B, T + 1, D)."""
    return torch.cat([x, network(x[:, prefix:]).to(x.dtype)], dim=1)
