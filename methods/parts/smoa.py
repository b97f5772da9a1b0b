"""Adapter-X's sharing mixture of adapters: a router sends every sub-token to a small expert (arXiv:2406.03051).

Shapes: B samples, N tokens, H sub-tokens per token, D token width, W = D / H sub-token width, E experts, S = B N H.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_GAIN, EMBEDDING_NORM = 0.32, 1.5  # as in X-MoE (Chi et al. 2022, arXiv:2204.09179)


class Router(nn.Module):
    """Sub-tokens s (..., W) to the probabilities (..., E) of the experts: softmax over i of R s . e_i / |e_i|."""

    def __init__(self, width: int, experts: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, dim, bias=False)
        self.embeddings = nn.Parameter(torch.empty(experts, dim))
        nn.init.orthogonal_(self.embeddings, gain=EMBEDDING_GAIN)

    def forward(self, s: Tensor) -> Tensor:
        z: Tensor = self.project(s)
        return (z @ F.normalize(self.embeddings, dim=-1).T).float().softmax(dim=-1)

    @torch.no_grad()
    def rescale(self) -> None:
        """Put every embedding e_i back to its norm. Scores do not depend on the norm, but the next step does."""
        self.embeddings.mul_(EMBEDDING_NORM / self.embeddings.norm(dim=-1, keepdim=True))


class Reordered(torch.autograd.Function):
    """Rows of (S, W) in another order.

    The backward pass reads the gradients in the inverse order. The backward pass of plain indexing would add them up,
    which takes longer.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(inverse)
        return rows.index_select(0, order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (inverse,) = ctx.saved_tensors
        return gradient.index_select(0, inverse), None, None


class Experts(nn.Module):
    """E bottlenecks W -> hidden -> W, zero at the start. The output is the sum of gate_i * expert_i(s) over all i.

    ``forward`` is dense: it computes all down-projections as one product, scales the hidden units by the gates, and
    computes all up-projections as one product. ``by_expert`` does 1 / E of the work for a top-1 mixture. It is for the
    CPU: a GPU would have to wait until the host knows how many sub-tokens every expert has.
    """

    def __init__(self, width: int, experts: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.down = nn.Linear(width, experts * hidden)
        self.up = nn.Parameter(torch.zeros(experts * hidden, width))
        self.up_bias = nn.Parameter(torch.zeros(experts, width))
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.down.bias)

    def forward(self, s: Tensor, gate: Tensor) -> Tensor:
        """Sub-tokens (..., W) and gates (..., E) to updates (..., W)."""
        hidden = F.relu(self.down(s)).unflatten(-1, (-1, self.hidden)) * gate[..., None]
        out: Tensor = hidden.flatten(-2) @ self.up + gate @ self.up_bias
        return out

    def by_expert(self, s: Tensor, gate: Tensor) -> Tensor:
        """What ``forward`` computes, for top-1 gates: each expert computes only its own sub-tokens."""
        value, expert = gate.flatten(0, -2).max(dim=-1)
        order = expert.argsort(stable=True)
        inverse, counts = order.argsort(), expert.bincount(minlength=len(self.up_bias)).tolist()
        own, gates = (
            Reordered.apply(rows, order, inverse).split(counts) for rows in (s.flatten(0, -2), value[:, None])
        )
        downs, biases, ups = (every.split(self.hidden) for every in (self.down.weight, self.down.bias, self.up))
        done = [
            torch.addmm(g @ up_bias, F.relu(F.linear(x, down, bias)) * g, up)
            for x, g, down, bias, up, up_bias in zip(own, gates, downs, biases, ups, self.up_bias.split(1), strict=True)
        ]
        out: Tensor = Reordered.apply(torch.cat(done), inverse, order)
        return out.view(s.shape)


def counts_are_at_hand(s: Tensor) -> bool:
    """Whether the host can read tensor values without waiting for a GPU and without breaking a compiled step."""
    return s.device.type == "cpu" and not torch.compiler.is_compiling()


class SMoA(nn.Module):
    """Sharing mixture of adapters: tokens (B, N, D) to updates (B, N, D) and the use of each expert (2, E).

    The use is the fraction of sub-tokens sent to an expert, and its mean probability over all sub-tokens.
    """

    def __init__(self, dim: int, *, heads: int, experts: int, hidden: int, routing_dim: int, top1: bool) -> None:
        super().__init__()
        self.heads, self.top1 = heads, top1
        self.router = Router(dim // heads, experts, routing_dim)
        self.experts = Experts(dim // heads, experts, hidden)

    def forward(self, u: Tensor) -> tuple[Tensor, Tensor]:
        s = u.unflatten(-1, (self.heads, -1))  # (B, N, D) -> (B, N, H, W)
        probability = self.router(s)
        # one-hot (B, N, H, E): the expert of the largest probability
        best = torch.zeros_like(probability).scatter(-1, probability.argmax(dim=-1, keepdim=True), 1.0)
        gate = best * probability if self.top1 else probability
        experts = self.experts.by_expert if self.top1 and counts_are_at_hand(s) else self.experts
        a = experts(s, gate.to(s.dtype)).flatten(-2)
        return a, torch.stack([best.mean((0, 1, 2)), probability.mean((0, 1, 2))])
