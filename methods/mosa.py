"""MoSA: an adapter trained as sparse copies that become one afterwards (Zhang et al. 2023, arXiv:2312.02923).

Shapes: B samples, N tokens, D token width; C copies of a projection (out, in).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.options import at_least, fraction
from methods.protocols import Criterion, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import optuna


@dataclass(frozen=True, kw_only=True)
class MoSAConfig(base.Config):
    """``split``: the projections that have copies. The default, up alone, is the paper's hierarchical form."""

    lr: float = 1e-2
    weight_decay: float = 1e-2
    hidden: Annotated[int, at_least(1)] = 16
    copies: Annotated[int, at_least(1)] = 4
    split: Literal["up", "down", "both"] = "up"
    scale: float = 0.1
    dropout: Annotated[float, fraction] = 0.1
    consistency: float = 1.0

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            hidden=trial.suggest_categorical("hidden", [8, 16, 32, 64]),
            scale=trial.suggest_float("scale", 0.05, 4.0, log=True),
        )


class SplitLinear(nn.Module):
    """A linear with C copies. Every entry of the weight is learned by exactly one copy; every copy has its own bias.

    Copy i is ``weight`` where ``owner`` is i, and ``start`` elsewhere, so all copies together take the memory of one.
    ``bias`` holds the biases of all copies end to end, as a vector, because vectors do not decay. In training a forward
    pass draws one copy; in eval mode it uses the mean of all copies.

    AdamW sees one weight. An entry whose copy was not drawn has a gradient of zero: its momentum still moves it, and
    weight decay still shrinks it, as in separate copies whose gradients are zero and not missing. Entries that a copy
    may not learn do not decay.
    """

    owner: Tensor
    start: Tensor

    def __init__(self, linear: nn.Linear, copies: int) -> None:
        super().__init__()
        self.copies = copies
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = nn.Parameter(linear.bias.detach().repeat(copies))
        self.register_buffer("start", linear.weight.detach().clone())
        owner = torch.randperm(self.weight.numel()).remainder(copies).view_as(self.weight)
        self.register_buffer("owner", owner, persistent=False)  # only training needs it

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, *self.drawn())

    def drawn(self) -> tuple[Tensor, Tensor]:
        """Weight (out, in) and bias (out,) of a copy drawn now. In eval mode they are those of the mean."""
        if not self.training or self.copies == 1:
            return self.mean()
        copy = torch.randint(self.copies, (1,), device=self.weight.device)
        return torch.where(self.owner == copy, self.weight, self.start), self.biases()[copy].squeeze(0)

    def mean(self) -> tuple[Tensor, Tensor]:
        """Weight (out, in) and bias (out,) of the mean of all copies."""
        if self.copies == 1:
            return self.weight, self.bias
        return self.start + (self.weight - self.start) / self.copies, self.biases().mean(0)

    def biases(self) -> Tensor:
        """The biases of the copies (C, out)."""
        return self.bias.view(self.copies, -1)

    @torch.no_grad()
    def merge(self) -> None:
        """Become one copy, the mean of all."""
        weight, bias = self.mean()
        self.weight, self.bias, self.copies = nn.Parameter(weight), nn.Parameter(bias), 1
        self.start = self.owner = weight.new_zeros(0)  # not needed any more, so nothing is stored

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "start")
        if saved is not None and not saved.numel():  # the saved linear was merged
            self.merge()
        super()._load_from_state_dict(state_dict, prefix, *args)


class Branch(nn.Module):
    """(B, N, D) -> (B, N, D): scale * up(dropout(gelu(down(LN(h))))), zero at the start."""

    def __init__(self, dim: int, config: MoSAConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)  # as the norms of the ViT
        down, up = nn.Linear(dim, config.hidden), nn.Linear(config.hidden, dim)
        nn.init.kaiming_uniform_(down.weight, a=5**0.5)
        for zero in (down.bias, up.weight, up.bias):
            nn.init.zeros_(zero)
        self.down = down if config.split == "up" else SplitLinear(down, config.copies)
        self.up = up if config.split == "down" else SplitLinear(up, config.copies)
        self.dropout, self.scale = nn.Dropout(config.dropout), config.scale

    def forward(self, h: Tensor) -> Tensor:
        hidden = self.dropout(F.gelu(self.down(self.norm(h))))
        weight, bias = self.up.drawn() if isinstance(self.up, SplitLinear) else (self.up.weight, self.up.bias)
        # the scale goes to the few hidden units and the bias, not to the D features of every token
        return F.linear(hidden * self.scale, weight, bias * self.scale)


class MoSA(Method):
    """AdaptFormer's branch, trained as copies of which each pass draws one, and kept as their mean.

    322,752 parameters on ViT-B/16 after ``merge``, as the record counts. Before it, every copy has its own bias.
    """

    Config = MoSAConfig

    def __init__(self, backbone: Backbone, config: MoSAConfig) -> None:
        super().__init__(backbone, config)
        self.consistency = config.consistency
        self.branches = nn.ModuleList()
        for block in backbone.blocks:
            branch = Branch(block.width, config)
            self.branches.append(branch)
            self.beside(block.ffn.out, branch, source=block.ffn.norm)

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross-entropy of one pass, plus the symmetric KL between two, each with its own copies and dropout."""
        first, second = model(x), model(x)
        return criterion(first, y) + self.consistency * symmetric_kl(first, second)

    def fit(self, trainer: Trainer) -> None:
        """Train, then merge. The test split and the task file see one plain adapter."""
        trainer.train()
        self.merge()

    def settle(self, report: Mapping[str, Any]) -> str:
        """Wire the plain adapter."""
        self.merge()
        return ""

    def merge(self) -> None:
        """Replace the copies by their mean. The adapter stays a hook, because it is not linear."""
        for module in self.modules():
            if isinstance(module, SplitLinear):
                module.merge()


def symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    """(KL(p|q) + KL(q|p)) / 2 of two sets of logits (B, classes), averaged over the batch.

    Of segmentation, with logits (B, parts, N), it is averaged over all points of the batch. In each term the first
    distribution is detached.
    """
    p, q = first.log_softmax(dim=1), second.log_softmax(dim=1)
    count = p[:, 0].numel()  # samples, or points
    one = F.kl_div(q, p.detach(), reduction="sum", log_target=True) / count
    other = F.kl_div(p, q.detach(), reduction="sum", log_target=True) / count
    return (one + other) / 2
