"""Image backbones: the embedded vit_nano, and any timm VisionTransformer by name or with a local file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.data import resolve_model_data_config
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed
from torch import nn

from methods.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import Tensor

AMBIGUOUS = "vit_base_patch16_224_in21k"
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def vit_nano(drop_path: float = 0.0) -> VisionTransformer:
    """12 blocks of width 96 over 16 tokens of a 32 x 32 image, behind a stem of three stride-2 convolutions."""
    width = 96
    stem = ConvStem(
        in_chans=3,
        depth=3,
        channels=(width // 4, width // 2, width),
        kernel_size=3,
        stride=(2, 2, 2),
        padding=(1, 1, 1),
        norm_layer=nn.BatchNorm2d,
        act_layer=nn.ReLU,
    )
    return VisionTransformer(
        img_size=32,
        patch_size=1,  # of the stem's 4 x 4 map
        embed_dim=width,
        depth=12,
        num_heads=3,
        num_classes=0,
        drop_path_rate=drop_path,
        embed_layer=partial(HybridEmbed, backbone=stem),
    )


def image_normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """Mean, standard deviation and image size of a model's weights, from their own configuration.

    Raises:
        UserError: timm knows no such model.
    """
    model = name.partition("@")[0]
    if model == "vit_nano":
        return *HALF, 32
    with torch.device("meta"):
        data = resolve_model_data_config(_create(model, pretrained=False, drop_path=0.0))
    return tuple(data["mean"]), tuple(data["std"]), int(data["input_size"][-1])


def is_downloaded(name: str) -> bool:
    """Whether the weights of a model of the hub are on this machine already.

    Raises:
        UserError: timm knows no such model.
    """
    from huggingface_hub import try_to_load_from_cache

    with torch.device("meta"):
        config = _create(name, pretrained=False, drop_path=0.0).pretrained_cfg
    repository = config.get("hf_hub_id") if isinstance(config, dict) else None
    return repository is not None and isinstance(try_to_load_from_cache(repository, "model.safetensors"), str)


def build_image(name: str, *, pretrained: bool, drop_path: float, weights: Path | None) -> nn.Module:
    """An image backbone without its class head, in eval mode.

    ``weights`` is a local file (.safetensors, .npz of Google's, .pth); without it a pretrained timm model comes from
    the hub.

    Raises:
        UserError: unknown model, no VisionTransformer, or weights that cannot be had or do not fit.
    """
    if name == "vit_nano":
        model: nn.Module = vit_nano(drop_path)
    else:
        model = _create(name, pretrained=pretrained and weights is None, drop_path=drop_path)
    if weights is not None:
        _load(model, name, weights)
    return model.eval()


def _create(name: str, *, pretrained: bool, drop_path: float) -> nn.Module:
    if name == AMBIGUOUS:
        raise UserError(
            f"'{AMBIGUOUS}' now means other weights than papers used; name one: vit_base_patch16_224.orig_in21k (the "
            "papers') or vit_base_patch16_224.augreg_in21k"
        )
    if not timm.is_model(name):
        raise UserError(unknown("backbone", name, ["vit_nano", "point_nano", *timm.list_models("vit_*_224")]))
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, drop_path_rate=drop_path)
    except (OSError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"cannot build backbone '{name}': {reason}; offline, give a local file as {name}@FILE"
        ) from None
    if not isinstance(model, VisionTransformer):
        raise UserError(f"backbone '{name}' is a {type(model).__name__}; only timm VisionTransformers are supported")
    return model


def _load(model: nn.Module, name: str, path: Path) -> None:
    """Load a file of weights into the model; a class head in it is dropped."""
    try:
        if path.suffix == ".npz":
            model.load_pretrained(str(path))  # type: ignore[operator]  # timm reads Google's layout, without pickles
            return
        state = load_file(path) if path.suffix == ".safetensors" else _unwrap(torch.load(path, weights_only=True))
        # timm's own filter: it knows other projects' names, and resamples position embeddings to another image size
        filtered = checkpoint_filter_fn(state, model) if isinstance(model, VisionTransformer) else state
        kept = {key: value.float() for key, value in filtered.items() if not key.startswith(("head.", "head_dist."))}
        model.load_state_dict(kept)
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"cannot load {path} into backbone '{name}': {reason}") from None
    except Exception as error:  # torch's UnpicklingError has no public base: the file asked to run code, or is damaged
        if type(error).__module__ not in ("pickle", "_pickle", "zipfile"):
            raise
        raise UserError(f"refused {path}: it is no plain file of tensors ({type(error).__name__})") from None


def _unwrap(loaded: Any) -> dict[str, Tensor]:
    for key in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    return dict(loaded)
