"""Point backbones by name: their architectures, and how they are built and filled with published weights."""

from collections.abc import Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any, cast

from torch import nn

from benchmarks.backbones import checkpoints
from benchmarks.backbones.loading import check_finite, fill
from benchmarks.backbones.origins import FEWER
from benchmarks.backbones.point_femae import PointFEMAE
from benchmarks.backbones.point_gpt import PointGPT
from benchmarks.backbones.points import PointTransformer
from methods.errors import UserError, unknown

LARGE = (256, 512, 1024, 2048)  # the widths of the tokenizer of PointGPT-B and -L
PUBLISHED: Mapping[str, partial[Any]] = {  # by whose weights are loaded; three share one architecture
    # all of them were pretrained with pointnet2's kernel, which skips the origin
    **{name: partial(PointTransformer, skip_origin=True) for name in ("point_mae", "point_act", "point_recon")},
    "point_bert": partial(PointTransformer, skip_origin=True, reduced_from=256, head_norm=False),
    "point_gpt_small": partial(PointGPT, skip_origin=True, qkv_bias=True),
    "point_gpt_base": partial(PointGPT, skip_origin=True, qkv_bias=True, embed_dim=768, num_heads=12, widths=LARGE),
    "point_gpt_large": partial(
        PointGPT, skip_origin=True, qkv_bias=True, embed_dim=1024, num_heads=16, depth=24, widths=LARGE
    ),
    "point_femae": partial(PointFEMAE, skip_origin=True),
}
MODELS: dict[str, partial[Any]] = {
    **PUBLISHED,  # 128 groups, for clouds of 2,048 points
    **{name + FEWER: partial(model, num_groups=64) for name, model in PUBLISHED.items()},  # for 1,024 points
    "point_nano": partial(
        PointTransformer,
        embed_dim=96,
        num_heads=3,
        num_groups=16,
        group_size=16,
        widths=(32, 64, 96),
        pos_width=64,
        head_width=96,
    ),
}


def build_point(name: str, *, pretrained: bool, drop_path: float, weights: Path | None) -> nn.Module:
    """A point transformer in eval mode. Without ``weights`` it gets random weights from torch's generator.

    Raises:
        UserError: the name is unknown, or the weights are missing, cannot be read, are of another model or do not fit.
    """
    if name not in MODELS:
        raise UserError(unknown("backbone", name, [*MODELS, "vit_nano"]))
    if pretrained and weights is None:
        raise UserError(f"backbone '{name}' has no weights of its own; give a local file as {name}@FILE")
    if weights is None:
        return cast(nn.Module, MODELS[name](drop_path=drop_path).eval())
    try:
        state = checkpoints.read(weights, name)
        # exported models may have biases that the published architecture lacks
        biased = {"qkv_bias": True} if any(key.endswith("attn.qkv.bias") for key in state) else {}
        model: PointTransformer = MODELS[name](drop_path=drop_path, **biased)
        model.fresh = fill(model, state, model.optional)
        check_finite(model)
    except UserError as error:
        raise UserError(f"cannot load {weights} into backbone '{name}': {error}") from None
    return model.eval()


def fewest(name: str) -> int:
    """The points that a cloud needs at least: as many as there are groups, and as a group has."""
    defaults = signature(PointTransformer).parameters
    given = MODELS[name].keywords if name in MODELS else {}
    return max(int(given.get(size, defaults[size].default)) for size in ("num_groups", "group_size"))
