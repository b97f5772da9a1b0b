"""The point transformer of Point-MAE, Point-BERT, ACT and ReCon, in pure PyTorch, with timm's blocks.

Shapes: B clouds, N points, G groups of K points, D token width.
"""

from collections.abc import Iterable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from benchmarks.backbones import checkpoints, vit
from benchmarks.backbones.grouping import nearest
from benchmarks.backbones.loading import check_finite, fill
from methods.backbone import Backbone, Modality
from methods.errors import UserError, unknown


class Tokenizer(nn.Module):
    """A small PointNet that maps every group to one token: (B, G, K, 3) -> (B, G, out), the maximum over its points."""

    def __init__(self, widths: tuple[int, int, int], out: int) -> None:
        super().__init__()
        first, second, third = widths
        self.first_conv = nn.Sequential(
            nn.Conv1d(3, first, 1), nn.BatchNorm1d(first), nn.ReLU(inplace=True), nn.Conv1d(first, second, 1)
        )
        self.second_conv = nn.Sequential(
            nn.Conv1d(2 * second, third, 1), nn.BatchNorm1d(third), nn.ReLU(inplace=True), nn.Conv1d(third, out, 1)
        )

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
    """

    modality: ClassVar[Modality] = "points"

    def __init__(
        self,
        *,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        num_groups: int = 128,
        group_size: int = 32,
        qkv_bias: bool = False,
        widths: tuple[int, int, int] = (128, 256, 512),
        reduced_from: int | None = None,
        pos_width: int = 128,
        head_width: int = 256,
        head_norm: bool = True,
        drop_path: float = 0.0,
        skip_origin: bool = False,
    ) -> None:
        super().__init__()
        self.num_groups, self.group_size, self.skip_origin = num_groups, group_size, skip_origin
        self.num_features, self.head_hidden_size = embed_dim, 2 * embed_dim
        self.head_width, self.head_norm, self.grad_checkpointing = head_width, head_norm, False
        self.fresh: frozenset[str] = frozenset()
        self.positions: Literal["every", "once"] = "every"
        self.encoder = Tokenizer(widths, reduced_from or embed_dim)
        self.reduce_dim = nn.Linear(reduced_from, embed_dim) if reduced_from else nn.Identity()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.cls_pos = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Sequential(nn.Linear(3, pos_width), nn.GELU(), nn.Linear(pos_width, embed_dim))
        # numbers, even if the weights are on the meta device
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist()
        layer_norm: Any = partial(nn.LayerNorm, eps=1e-5)
        self.blocks = nn.ModuleList(
            Block(embed_dim, num_heads, qkv_bias=qkv_bias, drop_path=rate, norm_layer=layer_norm) for rate in rates
        )
        self.norm = layer_norm(embed_dim)
        self.apply(_init)
        for token in (self.cls_token, self.cls_pos):
            nn.init.trunc_normal_(token, std=0.02)

    def prepare(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) to groups (B, G, 1 + K, 3): each centre, then its neighbours in absolute coordinates.

        ``forward`` takes such groups in place of points, and then does not search for neighbours. Rotating the groups
        equals rotating the points.
        """
        neighbors, centers = nearest(points, self.num_groups, self.group_size, skip_origin=self.skip_origin)
        return torch.cat([centers[:, :, None], neighbors], dim=2)

    def embed(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens (B, 1 + G, D) of points or groups, class token first, and the position of each token."""
        groups = points if points.ndim == 4 else self.prepare(points)
        centers = groups[:, :, 0]
        patches = self.reduce_dim(self.encoder(groups[:, :, 1:] - centers[:, :, None]))
        x = torch.cat([self.cls_token.expand(len(points), -1, -1), patches], dim=1)
        return x, torch.cat([self.cls_pos.expand(len(points), -1, -1), self.pos_embed(centers)], dim=1)

    def advance(self, x: Tensor, pos: Tensor, blocks: Iterable[nn.Module]) -> Tensor:
        """Apply blocks to tokens (B, T, D), and add their positions."""
        for block in blocks:
            if self.positions == "every" or block is self.blocks[0]:
                # prompts that a method appended have no position: zeros are added to them
                missing = x.shape[1] - pos.shape[1]
                x = x + (F.pad(pos, (0, 0, 0, missing)) if missing else pos)
            x = checkpoint(block, x, use_reentrant=False) if self.grad_checkpointing else block(x)
        return x

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output of the last block to pooled features (B, 2 D) and the normalised patch tokens (B, G, D)."""
        x = self.norm(x)
        patches = x[:, 1 : 1 + self.num_groups]
        return torch.cat([x[:, 0], patches.amax(1)], dim=-1), patches

    def forward_tokens(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The pooled features (B, 2 D) and the patch tokens (B, G, D) of points (B, N, 3) or groups."""
        return self.pool(self.advance(*self.embed(points), self.blocks))

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


PUBLISHED: dict[str, dict[str, object]] = {  # by whose weights are loaded; three of them share one architecture
    # all of them were pretrained with pointnet2's kernel, which skips the origin
    **{name: {"skip_origin": True} for name in ("point_mae", "point_act", "point_recon")},
    "point_bert": {"skip_origin": True, "reduced_from": 256, "head_norm": False},
}
MODELS: dict[str, dict[str, object]] = {
    **PUBLISHED,  # 128 groups, for clouds of 2,048 points
    **{f"{name}_1k": {**options, "num_groups": 64} for name, options in PUBLISHED.items()},  # for 1,024 points
    "point_nano": {
        "embed_dim": 96,
        "num_heads": 3,
        "num_groups": 16,
        "group_size": 16,
        "widths": (32, 64, 96),
        "pos_width": 64,
        "head_width": 96,
    },
}


def build_point(name: str, *, pretrained: bool, drop_path: float, weights: Path | None) -> nn.Module:
    """A point transformer in eval mode. Without ``weights`` it gets random weights from torch's generator.

    Raises:
        UserError: the name is unknown, or the weights are missing, cannot be read or do not fit.
    """
    if name not in MODELS:
        raise UserError(unknown("backbone", name, [*MODELS, "vit_nano"]))
    if pretrained and weights is None:
        raise UserError(f"backbone '{name}' has no weights of its own; give a local file as {name}@FILE")
    try:
        state = checkpoints.read(weights) if weights is not None else {}
        # exported models may have biases that the published architecture lacks
        biased = any(key.endswith("attn.qkv.bias") for key in state)
        model = PointTransformer(**MODELS[name], drop_path=drop_path, qkv_bias=biased)  # type: ignore[arg-type]
        if weights is not None:
            model.fresh = fill(model, state, checkpoints.TOKENS)
            check_finite(model)
    except UserError as error:
        raise UserError(f"cannot load {weights} into backbone '{name}': {error}") from None
    return model.eval()


def fewest(name: str) -> int:
    """The points that a cloud needs at least: as many as there are groups, and as a group has."""
    defaults = signature(PointTransformer).parameters
    return max(
        int(str(MODELS.get(name, {}).get(size, defaults[size].default))) for size in ("num_groups", "group_size")
    )


def _init(module: nn.Module) -> None:
    if isinstance(module, (nn.Linear, nn.Conv1d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def describe(model: PointTransformer) -> Backbone:
    """The backbone for methods."""
    body: Any = model
    blocks = tuple(
        vit.pre_norm_block(block, f"blocks.{number}", Block, grid=None, prefix_tokens=1)
        for number, block in enumerate(body.blocks)
    )
    reduce = body.reduce_dim
    groups = (1, body.num_groups, 1 + body.group_size, 3)
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
        resumable=True,
        sample=lambda: torch.zeros(groups, device=body.cls_token.device),
    )
