"""DTL: a side stream that spares the first blocks the backward pass (Fu et al. 2024, arXiv:2312.07856).

Shapes: B samples, N tokens, D token width, r rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Block
from methods.base import Method, Published
from methods.errors import check
from methods.hooks import Tap
from methods.options import at_least, fraction, positive
from methods.parts.layers import LowRank

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class DTLConfig(base.Config):
    """``spared``: the share of the leading blocks that the stream does not join; 0.5 is the first 6 of 12.

    The authors' scripts for Swin-B spare 14 of 24, at rank 4. ``beta`` is the sharpness of the activation.

    ``pool``: "patches" puts the mean of the patches in the place of the class token before the last norm, as in the
    authors' code. "backbone" leaves the pooling as it is, as with every other method here.
    """

    lr: float = 1e-2
    weight_decay: float = 0.05
    rank: Annotated[int, at_least(1)] = 2
    beta: Annotated[float, positive] = 100.0
    spared: Annotated[float, fraction] = 0.5
    pool: Literal["backbone", "patches"] = "backbone"

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), rank=trial.suggest_categorical("rank", [1, 2, 4, 8]))


@dataclass(frozen=True, kw_only=True)
class DTLPlusConfig(DTLConfig):
    """``kernel``: the side of the convolution; the authors' scripts for Swin-B have 5."""

    kernel: Annotated[int, at_least(1)] = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.kernel % 2 == 1, f"kernel={self.kernel} must be odd")


class PatchMixing(nn.Module):
    """(B, N, D) -> (B, N, D): a depth-wise convolution of the patches on their grid; prefix tokens stay as they are."""

    def __init__(self, block: Block, kernel: int) -> None:
        super().__init__()
        self.grid, self.prefix = block.patch_grid("dtl_plus"), block.prefix_tokens
        self.conv = nn.Conv2d(block.width, block.width, kernel, padding=kernel // 2, groups=block.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        patches = x[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)
        return torch.cat([x[:, : self.prefix], self.conv(patches).flatten(2).transpose(1, 2)], dim=1)


class Stream(nn.Module):
    """The side stream of one stage: h_l = h_(l-1) + B_l A_l x_l, where x_l enters block l and h starts at zero.

    It is kept as the products A_l x_l (B, N, r); h itself is only computed where it joins.
    """

    def __init__(self, dim: int, length: int, config: DTLConfig, mixing: nn.Module) -> None:
        super().__init__()
        self.updates = nn.ModuleList(LowRank(dim, dim, config.rank, scale=1.0) for _ in range(length))
        self.mixing, self.beta = mixing, config.beta
        self.taps = [Tap() for _ in range(length)]

    def read(self, number: int, x: Tensor) -> None:
        """Take note of what enters a block."""
        update: Any = self.updates[number]
        self.taps[number].put(update.down(x))

    def join(self, number: int, x: Tensor) -> Tensor:
        """What leaves a block, plus mixing(h * sigmoid(beta h))."""
        updates: list[Any] = list(self.updates)[: number + 1]
        low = torch.cat([tap.look() for tap in self.taps[: number + 1]], dim=-1)
        sharp = F.linear(low * self.beta, torch.cat([update.up.weight for update in updates], dim=1))  # beta h
        return torch.add(x, self.mixing(F.silu(sharp)), alpha=1 / self.beta)  # silu(beta h) / beta = h sigmoid(beta h)


class DTL(Method):
    """x_(l+1) = block_l(x_l) + h_l sigmoid(beta h_l) from block 7 of 12 on; 36,864 parameters at rank 2 on ViT-B/16.

    The stream h is the sum of rank-r updates of what enters the blocks up to l. What the first 7 blocks read is that of
    the frozen backbone, so no gradient passes through them. Their outputs cannot be kept in place of the inputs of
    training, because the stream reads all of them. A backbone of several stages has a stream in each stage that it
    joins. The equations are those of the authors' code (heekhero/DTL at c3a5a32, models/vision_transformer.py).
    """

    Config = DTLConfig
    published = Published(image="0.04 M")

    def __init__(self, backbone: Backbone, config: DTLConfig) -> None:
        super().__init__(backbone, config)
        self.streams = nn.ModuleList()
        start, first = 0, int(len(backbone.blocks) * config.spared)
        for stage in backbone.stages:
            if start + len(stage) > first:
                stream = Stream(stage[0].width, len(stage), config, self.mixing(stage[0], config))
                self.streams.append(stream)
                for number, block in enumerate(stage):
                    self.read(block.module, partial(stream.read, number))
                    if start + number >= first:
                        self.after(block.module, partial(stream.join, number))
            start += len(stage)
        if config.pool == "patches":
            prefix = backbone.blocks[-1].prefix_tokens
            check(
                backbone.modality == "image" and prefix > 0,
                "dtl: pool=patches takes the place of the class token of images, which this backbone does not have",
            )
            self.before(backbone.norm, partial(_mean_in_front, prefix))

    def mixing(self, block: Block, config: Any) -> nn.Module:
        """What the activated stream of a stage passes before it joins; ``block`` is the first of the stage."""
        return nn.Identity()


class DTLPlus(DTL):
    """DTL whose activated stream passes a 3 x 3 depth-wise convolution before it joins, one for all blocks of a stage.

    9 D parameters more, 43,776 on ViT-B/16.
    """

    Config = DTLPlusConfig
    published = Published(image="0.05 M")
    modalities = frozenset({"image"})
    needs_grid = True

    def mixing(self, block: Block, config: Any) -> nn.Module:
        return PatchMixing(block, config.kernel)


def _mean_in_front(prefix: int, x: Tensor) -> Tensor:
    """(B, P + G, D) -> (B, P + G, D): the mean of the G patches in the place of each of the P prefix tokens."""
    patches = x[:, prefix:]
    return torch.cat([patches.mean(dim=1, keepdim=True).expand(-1, prefix, -1), patches], dim=1)
