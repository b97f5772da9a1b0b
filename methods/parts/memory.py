"""A memory of what a frozen backbone of points makes of the training clouds.

Shapes: B clouds, D token width, n remembered clouds, M of them told.
"""

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.backbone import Backbone


class Memory(nn.Module):
    """Points or groups -> (B, 2 + near, D): [f; sum w M; M], what the memory tells of a cloud.

    f is the maximum of the frozen backbone's patches, and M are the ``near`` remembered features with the largest
    cosines to f, weighed by the softmax w of these. Fewer features are told again and again. An empty memory tells f
    alone. The frozen backbone is a copy beside the state: it is neither saved nor counted.
    """

    bank: Tensor

    def __init__(self, backbone: Backbone, near: int) -> None:
        super().__init__()
        self.near = near
        self._frozen = (copy.deepcopy(backbone.module).eval(),)  # in a tuple, because a module would be of the state
        self.register_buffer("bank", torch.zeros(0, backbone.widths[0]))  # (n, D)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The f (B, D) of points or groups."""
        pooled: Tensor = self._frozen[0](x)
        return pooled.chunk(2, dim=-1)[1]

    def forward(self, x: Tensor) -> Tensor:
        f = self.features(x)
        if not len(self.bank):
            return f[:, None].expand(-1, 2 + self.near, -1)
        cosines, found = (F.normalize(f) @ F.normalize(self.bank).t()).topk(min(self.near, len(self.bank)))
        again = torch.arange(self.near, device=f.device) % found.shape[1]
        near = self.bank[found[:, again]]
        mean = (cosines[:, again].softmax(-1)[..., None] * near).sum(1)
        return torch.cat([f[:, None], mean[:, None], near], dim=1)

    def of(self, x: Tensor, batch_size: int, tell: Callable[[int, int], None]) -> Tensor:
        """The f (n, D) of many clouds, batch by batch. ``tell`` gets the numbers of clouds done and of all."""
        parts: list[Tensor] = []
        for part in x.split(batch_size):
            parts.append(self.features(part))
            tell(sum(map(len, parts)), len(x))
        return torch.cat(parts)

    def remember(self, bank: Tensor) -> None:
        """Remember these features (n, D) from now on, and no others."""
        self.bank = bank.to(self.bank.device)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._frozen[0]._apply(fn, recurse)  # the copy goes to the same device
        return super()._apply(fn, recurse)  # type: ignore[no-any-return,no-untyped-call]

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        if prefix + "bank" in state_dict:  # of any number of clouds
            self.bank = self.bank.new_zeros(state_dict[prefix + "bank"].shape)
        super()._load_from_state_dict(state_dict, prefix, *args)
