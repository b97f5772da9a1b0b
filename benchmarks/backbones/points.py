"""The point transformer of Point-MAE, Point-BERT, ACT and ReCon, in pure PyTorch, with timm's blocks.

Shapes: B clouds, N points, G groups of K points, D token width.
"""

from collections.abc import Iterable
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.backbones import vit
from benchmarks.backbones.grouping import nearest
from benchmarks.files.farthest import farthest_points
from methods.backbone import Backbone, Points
from methods.modality import Modality


class Grouping(nn.Module):
    """Points (B, N, 3) to groups (B, G, 1 + K, 3): each centre, then its neighbours in absolute coordinates."""

    def __init__(self, groups: int, size: int, *, skip_origin: bool) -> None:
        super().__init__()
        self.groups, self.size, self.skip_origin = groups, size, skip_origin

    def forward(self, points: Tensor) -> Tensor:
        return self.regroup(points, self.groups, self.size)

    def regroup(self, points: Tensor, groups: int, size: int) -> Tensor:
        """Groups of another number and size."""
        neighbors, centers = nearest(points, groups, size, skip_origin=self.skip_origin)
        return torch.cat([centers[:, :, None], neighbors], dim=2)


class Tokenizer(nn.Module):
    """A small PointNet that maps every group to one token: (B, G, K, 3) -> (B, G, out), the maximum over its points.

    ``widths`` are those of the convolutions but the last. The maximum of the last but two goes to every point.
    """

    def __init__(self, widths: tuple[int, ...], out: int) -> None:
        super().__init__()
        *first, third = widths
        self.first_conv = _convolutions(3, *first)
        self.second_conv = _convolutions(2 * first[-1], third, out)

    def forward(self, neighborhoods: Tensor) -> Tensor:
        batch, groups, size, _ = neighborhoods.shape
        x = self.first_conv(neighborhoods.flatten(0, 1).transpose(1, 2))  # (B G, C, K)
        x = torch.cat([x.amax(2, keepdim=True).expand(-1, -1, size), x], dim=1)
        out: Tensor = self.second_conv(x).amax(2)
        return out.view(batch, groups, -1)


class PointTransformer(nn.Module):
    """Maps points (B, N, 3) to pooled features (B, 2 D): the class token and the maximum over patch tokens.

    The defaults are Point-MAE's for ScanObjectNN: 21,825,792 parameters, and 22,093,327 with its 15-class head.
    ``fresh`` names the parameters that the loaded checkpoint lacks; every method trains them. ``positions`` says before
    which blocks positions are added: "every" block, as in pretraining, or "once", before the first.

    Attributes:
        prefix: the names of the tokens before the patches, each with the name of its position.
        optional: the names of the parameters that published weights may lack.
        block: the class of the blocks.
    """

    modality: ClassVar[Modality] = "points"
    prefix: ClassVar[tuple[tuple[str, str], ...]] = (("cls_token", "cls_pos"),)
    optional: ClassVar[frozenset[str]] = frozenset({"cls_token", "cls_pos"})
    block: ClassVar[type[Block]] = Block

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        num_groups: int = 128,
        group_size: int = 32,
        qkv_bias: bool = False,
        widths: tuple[int, ...] = (128, 256, 512),
        reduced_from: int | None = None,
        pos_width: int = 128,
        head_width: int = 256,
        head_norm: bool = True,
        drop_path: float = 0.0,
        skip_origin: bool = False,
    ) -> None:
        super().__init__()
        self.num_groups, self.group_size = num_groups, group_size
        self.num_features, self.head_hidden_size = embed_dim, 2 * embed_dim
        self.head_width, self.head_norm, self.grad_checkpointing = head_width, head_norm, False
        self.fresh: frozenset[str] = frozenset()
        self.positions: Literal["every", "once"] = "every"
        self.grouping = Grouping(num_groups, group_size, skip_origin=skip_origin)
        self.encoder = Tokenizer(widths, reduced_from or embed_dim)
        self.reduce_dim = nn.Linear(reduced_from, embed_dim) if reduced_from else nn.Identity()
        tokens = [name for pair in self.prefix for name in pair]
        for name in tokens:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, 1, embed_dim)))
        self.pos_embed = self.make_positions(embed_dim, pos_width)
        # numbers, even if the weights are on the meta device
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        layer_norm: Any = partial(nn.LayerNorm, eps=1e-5)
        self.blocks = nn.ModuleList(
            self.block(embed_dim, num_heads, qkv_bias=qkv_bias, drop_path=rate, norm_layer=layer_norm) for rate in rates
        )
        self.norm = layer_norm(embed_dim)
        self.apply(_init)
        for name in tokens:
            nn.init.trunc_normal_(self.get_parameter(name), std=0.02)

    @property
    def num_prefix_tokens(self) -> int:
        """The number of tokens before the patches."""
        return len(self.prefix)

    def make_positions(self, dim: int, hidden: int) -> nn.Module:
        """What maps centres (B, G, 3) to their positions (B, G, D)."""
        return nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def prepare(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) to groups (B, G, 1 + K, 3): each centre, then its neighbours in absolute coordinates.

        ``forward`` takes such groups in place of points, and then does not search for neighbours. Rotating the groups
        equals rotating the points.
        """
        return cast(Tensor, self.grouping(points))

    def encode(self, groups: Tensor) -> tuple[Tensor, Tensor]:
        """Groups (B, G', 1 + K', 3), of any number and size, to tokens (B, G', D) and their positions, past all hooks.

        Methods make further tokens in this way, beside those that their hooks see.
        """
        centers = groups[:, :, 0]
        tokens: Tensor = self.encoder.forward(groups[:, :, 1:] - centers[:, :, None])
        return self.reduce_dim.forward(tokens), self.pos_embed.forward(centers)

    def embed(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens (B, T, D) of points or groups, patches last, and the places (B, T, P) that ``advance`` needs.

        The places of this class are the positions of the tokens, so that P = D.
        """
        groups = points if points.ndim == 4 else self.prepare(points)
        centers = groups[:, :, 0]
        patches = self.reduce_dim(self.encoder(groups[:, :, 1:] - centers[:, :, None]))
        tokens = [self.get_parameter(name).expand(points.shape[0], -1, -1) for name, _ in self.prefix]
        positions = [self.get_parameter(name).expand(points.shape[0], -1, -1) for _, name in self.prefix]
        return torch.cat([*tokens, patches], dim=1), torch.cat([*positions, self.pos_embed(centers)], dim=1)

    def advance(self, x: Tensor, places: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        """Apply blocks to tokens (B, T, D) at their places (B, T, P), and add their positions."""
        for block in blocks:
            x = self.through(block, self.placed(block, x, places))
        return x

    def placed(self, block: nn.Module, x: Tensor, pos: Tensor) -> Tensor:
        """Tokens with their positions added, if this block is one that gets them."""
        if self.positions == "once" and block is not self.blocks[0]:
            return x
        # prompts that a method appended have no position: zeros are added to them
        missing = x.shape[1] - pos.shape[1]
        return x + (F.pad(pos, (0, 0, 0, missing)) if missing else pos)

    def through(self, block: nn.Module, *args: object) -> Tensor:
        """The output of a block, whose activations are computed again in the backward pass if that was asked for."""
        out = checkpoint(block, *args, use_reentrant=False) if self.grad_checkpointing else block(*args)
        return cast(Tensor, out)

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output of the last block to pooled features (B, 2 D) and the normalised patch tokens (B, G, D)."""
        x, start = self.normalized(x), self.num_prefix_tokens
        patches = x[:, start : start + self.num_groups]
        return torch.cat([self.summary(x, patches), patches.amax(1)], dim=-1), patches

    def normalized(self, x: Tensor) -> Tensor:
        """The tokens after the last norm."""
        return cast(Tensor, self.norm(x))

    def summary(self, x: Tensor, patches: Tensor) -> Tensor:
        """The first half of the pooled features: the class token, which is the last token before the patches."""
        return x[:, self.num_prefix_tokens - 1]

    def forward_tokens(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features (B, 2 D) and the patch tokens (B, G, D) of points (B, N, 3) or groups."""
        return self.pool(self.advance(*self.embed(points), self.blocks))

    def forward_layers(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pooled features (B, 2 D), the patch tokens (B, G, 3 D) of three blocks, and the centres (B, G, 3).

        The blocks end a third, two thirds and all of the depth: of 12 those with the indices 3, 7 and 11, as in
        Point-MAE's segmentation (segmentation/models/pt.py at 336d42f). Their tokens are normalised by the last norm.
        It runs once, on the tokens of all three, because methods take their prompts off the end of its output.
        """
        groups, depth, prefix = self.prepare(points), len(self.blocks), self.num_prefix_tokens
        (x, places), patches, start, end = self.embed(groups), [], 0, prefix + self.num_groups
        for stop in (max(1, depth // 3), max(1, 2 * depth // 3), depth):
            x = self.advance(x, places, self.blocks[start:stop])
            patches.append(x[:, prefix:end])
            start = stop
        tokens = self.normalized(torch.cat([x[:, :end], *patches[:2], x[:, end:]], dim=1))
        last, first, second = tokens[:, prefix : prefix + 3 * self.num_groups].chunk(3, dim=1)
        pooled = torch.cat([self.summary(tokens, last), last.amax(1)], dim=-1)
        return pooled, torch.cat([first, second, last], dim=-1), groups[:, :, 0]

    def forward(self, points: Tensor) -> Tensor:
        return self.forward_tokens(points)[0]

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Recompute the activations of every block in the backward pass, to save memory."""
        self.grad_checkpointing = enable

    def make_head(self, in_features: int, classes: int) -> nn.Module:
        """The usual classifier of points: in-256-256-classes with BatchNorm, ReLU and dropout 0.5.

        Point-BERT's classifier (``head_norm`` false) has one hidden layer and no BatchNorm.
        """
        width = self.head_width
        if not self.head_norm:
            return nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Dropout(0.5), nn.Linear(width, classes))
        layers: list[nn.Module] = []
        for inputs in (in_features, width):
            layers += [nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Linear(width, classes))


def _convolutions(*widths: int) -> nn.Sequential:
    """Convolutions over single points from each width to the next, with BatchNorm and ReLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-2])


def _init(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Conv1d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def describe(model: PointTransformer) -> Backbone:
    """The backbone for methods."""
    body: Any = model
    blocks = tuple(
        vit.pre_norm_block(block, f"blocks.{number}", Block, grid=None, prefix_tokens=model.num_prefix_tokens)
        for number, block in enumerate(body.blocks)
    )
    reduce = body.reduce_dim
    shape = (1, max(body.num_groups, body.group_size), 3)
    return Backbone(
        module=model,
        modality="points",
        stages=(blocks,),
        norm=body.norm,
        # the patch tokens before their positions are added
        tokenizer=(reduce, reduce if isinstance(reduce, nn.Linear) else body.encoder.second_conv[-1]),
        operations=tuple(vit.operations(body.blocks, body.norm)),
        head_hidden_size=body.head_hidden_size,
        patch_values=3 * body.group_size,
        channels_first=tuple(module for module in body.encoder.modules() if isinstance(module, nn.Conv1d)),
        points=Points(
            groups=body.num_groups,
            size=body.group_size,
            grouping=body.grouping,
            encoder=body.encoder,
            first_layers=body.encoder.first_conv,
            positions=body.pos_embed,
            regroup=body.grouping.regroup,
            encode=model.encode,
            farthest=farthest_points,
        ),
        resumable=True,
        sample=lambda: torch.zeros(shape, device=next(model.parameters()).device),
    )
