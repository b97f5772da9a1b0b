"""A small backbone of every family, and methods wired onto it. No weight is zero, so that every change shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from timm.models import ConvNeXt, Eva, SwinTransformer, VisionTransformer
from torch import Tensor, nn

import methods
from benchmarks import backbones
from benchmarks.backbones.points import PointTransformer
from benchmarks.training.model import Classifier
from methods.base import Method
from methods.modality import Modality

Options = dict[str, Any]
WIDTH, DEPTH, CLASSES = 48, 3, 5
BATCH = 4
PLAIN: Options = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": WIDTH,
    "depth": DEPTH,
    "num_heads": 3,
    "mlp_ratio": 2,
    "num_classes": 0,
}


def seed(number: int) -> None:
    """Start the random numbers of the CPU anew.

    ``torch.manual_seed`` does the same, but keeps a trace of the stack for every kind of GPU that is not there.
    """
    torch.default_generator.manual_seed(number)


def vit(**changes: Any) -> VisionTransformer:
    """A plain ViT."""
    seed(0)
    return VisionTransformer(**PLAIN | changes).eval()


def points(model: type[PointTransformer] = PointTransformer, **changes: Any) -> PointTransformer:
    """A point transformer that makes 4 groups of 4 points."""
    shape: Options = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 3, "num_groups": 4, "group_size": 4}
    seed(0)
    return model(**shape | {"widths": (8, 16, 16), "pos_width": 16} | changes).eval()


def eva(**changes: Any) -> Eva:
    """EVA-02: rotary positions, a gated FFN, registers, and a fused qkv that adds its biases by itself."""
    kind = {"swiglu_mlp": True, "scale_mlp": True, "use_rot_pos_emb": True, "num_reg_tokens": 2, "init_values": 0.5}
    seed(0)
    return Eva(**PLAIN | kind | changes).eval()


def swin(depth: int = DEPTH, **changes: Any) -> SwinTransformer:
    """A Swin of two stages; in the first, every second block shifts its windows."""
    shape: Options = {
        "img_size": 32,
        "patch_size": 4,
        "embed_dim": 24,
        "depths": (depth - 1, 1),
        "num_heads": (3, 3),
    }
    seed(0)
    return SwinTransformer(**shape | {"window_size": 4, "mlp_ratio": 2, "num_classes": 0} | changes).eval()


def convnext(depth: int = DEPTH, **changes: Any) -> ConvNeXt:
    """A ConvNeXt of four stages, as timm's class wants; the first three have one width."""
    seed(0)
    shape: Options = {"depths": (depth, 1, 1, 1), "dims": (24, 24, 24, 48)}
    return ConvNeXt(**shape | {"num_classes": 0} | changes).eval()


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of backbones: its name, how a small one is built, what it reads, and whether it has a ViT's blocks."""

    title: str
    build: Callable[..., nn.Module]
    modality: Modality = "image"
    attention_and_grid: bool = True

    def takes(self, method: type[Method]) -> bool:
        """Whether a method says that it works on this family."""
        needs = method.needs_attention or method.needs_grid
        return self.modality in method.modalities and (self.attention_and_grid or not needs)


FAMILIES: Mapping[str, Family] = {
    "image": Family(title="ViT", build=vit),
    "points": Family(title="points", build=points, modality="points"),
    "eva": Family(title="EVA", build=eva),
    "swin": Family(title="Swin", build=swin),
    "convnext": Family(title="ConvNeXt", build=convnext, attention_and_grid=False),
}


def filled(built: nn.Module) -> nn.Module:
    """A new backbone as if it were pretrained: no weight stays zero."""
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return built


def backbone(family: str, layers: int = DEPTH) -> nn.Module:
    """The small backbone of a family, with the same weights every time."""
    return filled(FAMILIES[family].build(depth=layers))


def inputs(family: str, count: int = BATCH) -> Tensor:
    """Images (count, 3, 32, 32) or points (count, 64, 3)."""
    seed(1)
    cloud = FAMILIES[family].modality == "points"
    return torch.rand(count, 64, 3) * 2 - 1 if cloud else torch.randn(count, 3, 32, 32)


def wire(name: str, body: nn.Module, options: Mapping[str, object]) -> Classifier:
    """A method on a backbone, with a linear head for CLASSES classes, in eval mode."""
    seed(2)
    method = methods.build(name, backbones.describe(body), methods.config(name, options))
    width: Any = body.head_hidden_size
    return Classifier(body, method, nn.Linear(width + method.extra_features, CLASSES)).eval()


@torch.no_grad()
def move(model: Classifier) -> Classifier:
    """The model after some training: every trainable weight has moved by something random."""
    seed(3)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.add_(torch.randn_like(parameter) * 0.1)
        if name.endswith(".scale.bias"):
            parameter.add_(2)  # opens a ReLU that would hide the weights before it
    return model
