"""Parts that several methods share. Shapes: B samples, N tokens, D token width."""

from collections.abc import Callable
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.errors import check
from methods.hooks import Tap
from methods.protocols import Trainer

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


def is_norm(module: nn.Module | None) -> TypeGuard[nn.Module]:
    """Whether a module normalises features: a LayerNorm, or an RMSNorm or another of timm's norms without a bias."""
    return hasattr(module, "normalized_shape")


class Bottleneck(nn.Module):
    """(B, N, D) -> (B, N, D): scale * up(dropout(act(down(x)))), zero at the start.

    There are 2 D hidden + hidden + D parameters.
    """

    def __init__(self, dim: int, hidden: int, *, act: str, dropout: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.down = nn.Linear(dim, hidden)
        self.up = nn.Linear(hidden, dim)
        self.act, self.dropout, self.scale = act, nn.Dropout(dropout), scale
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(ACTIVATIONS[self.act](self.down(x)))
        if self.scale == 1.0 or self.up.bias is None:
            out: Tensor = self.up(hidden * self.scale)
            return out
        # the scale goes to the few hidden units and the bias, not to the D features of every token
        return F.linear(hidden * self.scale, self.up.weight, self.up.bias * self.scale)


def network(dim: int, hidden: int, out: int) -> nn.Sequential:
    """(..., D) -> (..., out): two linears with a GELU between; weights start truncated normal, biases at zero."""
    first, second = nn.Linear(dim, hidden), nn.Linear(hidden, out)
    for layer in (first, second):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.GELU(), second)


def leading(method: str, prompted: int | None, depth: int) -> int:
    """The number of leading blocks, of ``depth`` blocks, that get prompts: half of them by default.

    Raises:
        UserError: there are not so many blocks; the message starts with ``method``.
    """
    found = max(1, depth // 2) if prompted is None else prompted
    check(1 <= found <= depth, f"{method}: prompted={found} must be from 1 to {depth}, the blocks")
    return found


class LowRank(nn.Module):
    """(..., in) -> (..., out): scale * up(down(dropout(x))) without biases, zero at the start.

    There are rank * (in + out) weights.
    """

    def __init__(self, in_features: int, out_features: int, rank: int, *, scale: float, dropout: float = 0.0) -> None:
        super().__init__()
        self.down = nn.Linear(in_features, rank, bias=False)
        self.up = nn.Linear(rank, out_features, bias=False)
        self.scale, self.dropout = scale, nn.Dropout(dropout)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.up(self.down(self.dropout(x)) * self.scale)
        return out

    def delta(self) -> Tensor:
        """The weight update this adds to a linear: (out, in)."""
        return self.scale * (self.up.weight @ self.down.weight)


class ScaleShift(nn.Module):
    """(..., D) -> (..., D): scale * x + shift, 2 D weights. With ``channels_first`` it maps (B, D, H, W).

    They start normally distributed with this standard deviation, scales around 1 and shifts around 0.
    """

    def __init__(self, dim: int, *, channels_first: bool = False, deviation: float = 0.02) -> None:
        super().__init__()
        self.channels_first = channels_first
        self.scale = nn.Parameter(torch.randn(dim) * deviation + 1)
        self.shift = nn.Parameter(torch.randn(dim) * deviation)

    def forward(self, x: Tensor) -> Tensor:
        # addcmul takes one pass and computes in float32; bfloat16 would round scales near 1
        if self.channels_first:
            return torch.addcmul(self.shift[:, None, None], x, self.scale[:, None, None]).to(x.dtype)
        return torch.addcmul(self.shift, x, self.scale).to(x.dtype)

    @torch.no_grad()
    def fold_into(self, operation: nn.Linear | nn.Conv1d | nn.Conv2d | nn.LayerNorm) -> None:
        """Change ``operation`` so that it computes part(operation(x)). It gets a bias if it has none."""
        operation.weight.mul_(self.scale.view(-1, *[1] * (operation.weight.ndim - 1)))
        if operation.bias is None:
            operation.bias = nn.Parameter(self.shift.clone(), requires_grad=False)
        else:
            operation.bias.mul_(self.scale).add_(self.shift)


def add_bias(linear: nn.Linear, shift: Tensor) -> None:
    """Add a shift (out) to a linear's bias in place. It gets a frozen one if it has none."""
    if linear.bias is None:
        linear.bias = nn.Parameter(shift, requires_grad=False)
    else:
        linear.bias.add_(shift)


def drop_samples(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """(B, ...) -> (B, ...): drop-path, which makes a sample zero with probability ``rate`` in training."""
    return x * F.dropout(x.new_ones(len(x), *[1] * (x.ndim - 1)), rate) if training and rate else x


@torch.inference_mode()
def mean_over_samples(trainer: Trainer, read: Callable[[], Tensor]) -> Tensor:
    """The mean over all training samples of what ``read`` returns after a forward pass, in eval mode: on the CPU.

    ``read`` returns the mean over the samples of the pass.
    """
    trainer.model.eval()
    total = torch.zeros(())
    for x in trainer.x.split(trainer.eval_batch_size):
        trainer.model(x)
        total = total + read().cpu() * len(x) / len(trainer.x)
    return total


def nearest(y: Tensor, count: int) -> Tensor:
    """Indices (B, N, K) of the ``count`` rows nearest to each of (B, N, D), itself among them; K = min(count, N)."""
    y = y.detach().float()
    distance = torch.cdist(y, y, compute_mode="donot_use_mm_for_euclid_dist")
    found: Tensor = distance.topk(min(count, y.shape[1]), largest=False).indices
    return found


def edges(weight: Tensor, y: Tensor, near: Tensor) -> Tensor:
    """W [y_j - y_i; y_i] of every token y_i of (B, N, D) and each of its neighbours (B, N, K): (B, N, K, out).

    W is (out, 2 D).
    """
    # with W = [V, U], W [y_j - y_i; y_i] = V y_j + (U - V) y_i: one product per token, not one per neighbour
    difference, own = weight.chunk(2, dim=1)
    products = F.linear(y, difference)
    index = near.flatten(1)[..., None].expand(-1, -1, products.shape[-1])
    found: Tensor = products.gather(1, index).unflatten(1, near.shape[1:])
    return found + F.linear(y, own - difference)[:, :, None]


def normalized(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """(..., D) -> (..., D): BatchNorm with its statistics over all dimensions but the last."""
    flat: Tensor = norm(x.flatten(0, -2))
    return flat.view_as(x)


class Prompts(nn.Module):
    """(B, N, D) -> (B, N - replaced + P, D): P learned tokens replace the last ``replaced`` ones; P D weights.

    They start uniform within +-sqrt(6 / (patch_numbers + D)), the Xavier bound of a projection from patches to tokens.
    """

    def __init__(self, dim: int, count: int, *, patch_numbers: int, replaced: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        bound = (6 / (patch_numbers + dim)) ** 0.5
        self.prompts = nn.Parameter(torch.empty(count, dim).uniform_(-bound, bound))
        self.replaced, self.dropout = replaced, dropout

    def forward(self, x: Tensor) -> Tensor:
        # Dropout comes after the expansion, so that each sample draws its own. It is a function, because torch's FLOP
        # counter fails on a module that returns a parameter's view.
        own = F.dropout(self.prompts.expand(x.shape[0], -1, -1), self.dropout, self.training)
        # at the end, so that the class token and the patches keep their indices
        return torch.cat([x[:, : x.shape[1] - self.replaced], own.to(x.dtype)], dim=1)


class PromptGenerator(nn.Module):
    """A block's update a (B, N, D) -> one prompt (B, 1, D): gamma * (mean of a over tokens) + beta."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(dim) * 0.02 + 1)
        self.beta = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, a: Tensor) -> Tensor:
        return self.gamma * a.mean(dim=1, keepdim=True) + self.beta


def append(prompt: Tap, x: Tensor) -> Tensor:
    """(B, N, D) -> (B, N + 1, D): put the prompt in a tap at the end of the sequence."""
    # at the end, so that the class token and the patches keep their indices
    return torch.cat([x, prompt.take().to(x.dtype)], dim=1)


def drop_last(count: int, x: Tensor) -> Tensor:
    """(B, N + count, D) -> (B, N, D): take the prompts off, so that no pooling averages them in."""
    return x[:, :-count]


def set_aside(count: int, prompts: Tap, x: Tensor) -> Tensor:
    """(B, N + count, D) -> (B, N, D): move the prompts into a tap, so that no pooling averages them in."""
    prompts.value = x[:, -count:]
    return x[:, :-count]


def between(pooled: Tensor, token: Tensor) -> Tensor:
    """[class; max of patches] (B, 2 D) and a token (B, D) -> [class; token; max of patches] (B, 3 D)."""
    class_token, patches = pooled.chunk(2, dim=-1)
    return torch.cat([class_token, token, patches], dim=-1)
