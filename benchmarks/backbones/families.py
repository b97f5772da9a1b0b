"""The families of backbones, and which of them describes a model to methods."""

from collections.abc import Callable
from typing import Any

from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from benchmarks.backbones import convnext, eva, points, swin, vit
from methods.backbone import Backbone
from methods.errors import UserError

FAMILIES: dict[type[nn.Module], Callable[[Any], Backbone]] = {
    VisionTransformer: vit.describe,
    Eva: eva.describe,
    SwinTransformer: swin.describe,
    ConvNeXt: convnext.describe,
    points.PointTransformer: points.describe,
}


def describe(module: nn.Module) -> Backbone:
    """A backbone for methods. Swin and ConvNeXt work on sequences of tokens from then on.

    Raises:
        UserError: no family has this class, or its blocks are of a kind that no method can act on.
    """
    for kind, family in FAMILIES.items():
        if isinstance(module, kind):
            return family(module)
    known = ", ".join(kind.__name__ for kind in FAMILIES)
    raise UserError(f"{type(module).__name__} is not a supported architecture; these are: {known}")
