"""Image backbones: the embedded vit_nano, and timm's models with their own or a local file's weights."""

import json
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed
from torch import nn

from benchmarks.backbones import families, hub, image_weights, names, tensors
from benchmarks.files.frames import CropMode, Frame
from methods.errors import UserError, check, unknown

AMBIGUOUS = "vit_base_patch16_224_in21k"
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
MOST_PIXELS = 4096  # per side
STRIDE = 8  # pixels per token of vit_nano
LAST_STRIDE = 32  # pixels per position of the last map of ConvNeXt


def vit_nano(drop_path: float = 0.0, size: int = 32) -> VisionTransformer:
    """12 blocks of width 96 over 16 tokens, which a stem of three stride-2 convolutions makes from a 32 x 32 image."""
    width = 96
    stem = ConvStem(
        depth=3, channels=(width // 4, width // 2, width), kernel_size=3, stride=(2, 2, 2), padding=(1, 1, 1)
    )
    return VisionTransformer(
        img_size=size,
        patch_size=1,  # one token per position of the stem's 4 x 4 map
        embed_dim=width,
        depth=12,
        num_heads=3,
        num_classes=0,
        drop_path_rate=drop_path,
        embed_layer=partial(HybridEmbed, backbone=stem),
    )


def image_normalization(model: str) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """The mean, standard deviation and image size that a model's weights were trained with, as timm states them.

    Raises:
        UserError: timm has no such model.
    """
    if model == "vit_nano":
        return *HALF, 32
    with torch.device("meta"):
        built = _create(model, drop_path=0.0, size=None)
    data = resolve_model_data_config(built)
    embed = getattr(built, "patch_embed", None)  # it says the size; a model without one takes any size
    size = data["input_size"][-1] if embed is None else embed.img_size[-1]
    return tuple(data["mean"]), tuple(data["std"]), int(size)


@cache
def image_frame(model: str, size: int) -> Frame:
    """How timm makes images of ``size`` pixels for a model's weights where it tests them.

    Raises:
        UserError: timm has no such model, or it fills borders, which this benchmark does not.
    """
    if model == "vit_nano":
        return Frame(size)
    with torch.device("meta"):
        data = resolve_model_data_config(_create(model, drop_path=0.0, size=None))
    mode = data["crop_mode"]
    check(
        mode in get_args(CropMode),
        f"backbone '{model}': its weights were tested with crop_mode={mode}, and this benchmark has "
        f"{' and '.join(get_args(CropMode))}; use resize=squash",
    )
    return Frame(size, mode, float(data["crop_pct"]), data["interpolation"])


def is_downloaded(model: str) -> bool:
    """Whether the weights of a timm model are on this machine already.

    Raises:
        UserError: timm has no such model.
    """
    with torch.device("meta"):
        repository = _repository(model, _create(model, drop_path=0.0, size=None))
    return repository is not None and hub.cached(repository, hub.WEIGHTS) is not None


def build_image(model: str, *, pretrained: bool, drop_path: float, weights: Path | None, size: int | None) -> nn.Module:
    """An image backbone without its class head, in eval mode.

    ``weights`` is a local file: .safetensors, .pth, or .npz in Google's layout. Without it the weights of a pretrained
    model come from the Hugging Face hub. ``size`` is the side of the images in pixels, if it is not that of the
    weights. The attribute ``resampled`` has a sentence for each tensor that was resampled to fit.

    Raises:
        UserError: the model is unknown or of no family here, its patches do not divide the size, or its weights cannot
            be fetched, read or loaded.
    """
    built: Any = _create(model, drop_path=drop_path, size=size)
    if pretrained and weights is None:
        weights = _downloaded(model, built)
    built.resampled = () if weights is None else image_weights.load(built, model, weights)
    module: nn.Module = built.eval()
    return module


def _create(name: str, *, drop_path: float, size: int | None) -> nn.Module:
    """An architecture with random weights."""
    most = f"backbone '{name}:{size}': the size must be at most {MOST_PIXELS} pixels"
    check(size is None or size <= MOST_PIXELS, most)
    model = vit_nano(drop_path, size or 32) if name == "vit_nano" else _of_timm(name, drop_path, size)
    # timm divides the sizes of image and map, which is not exact for a size that is no multiple
    patch = STRIDE if name == "vit_nano" else _stride(model)
    divides = size is None or size % patch == 0
    check(divides, f"backbone '{name}:{size}': the size must be a multiple of the patches' {patch} pixels")
    return model


def _stride(model: nn.Module) -> int:
    """The pixels per side of a patch; of a model without patches, those of its last map."""
    embed: Any = getattr(model, "patch_embed", None)
    return LAST_STRIDE if embed is None else int(embed.feat_ratio())


def _of_timm(name: str, drop_path: float, size: int | None) -> nn.Module:
    if name == AMBIGUOUS:
        raise UserError(
            f"'{AMBIGUOUS}' now stands for other weights than those in papers; choose vit_base_patch16_224.orig_in21k "
            "(used in papers) or vit_base_patch16_224.augreg_in21k"
        )
    on_hub = name.startswith(names.HUB)
    check(
        on_hub or ":" not in name, f"backbone '{name}': give a whole number of pixels after the colon, as in NAME:224"
    )
    if not on_hub and not timm.is_model(name):
        raise UserError(unknown("backbone", name, ["vit_nano", "point_nano", *timm.list_models("vit_*_224")]))
    radio = f"backbone '{name}' is not supported: RADIO resamples its position embeddings in a way of its own"
    check("radio" not in name, radio)
    try:
        known = f"local-dir:{_config(name).parent}" if on_hub else name
        model: nn.Module = timm.create_model(known, num_classes=0, drop_path_rate=drop_path, **_sized(name, size))
        families.describe(model)
    except (OSError, RuntimeError) as error:  # it has no such weights
        raise UserError(f"cannot build backbone '{name}': {tensors.reason(error)}") from None
    except (TypeError, UserError) as error:  # some other architectures do not take these arguments
        raise UserError(f"backbone '{name}' is not supported: {tensors.reason(error)}") from None
    return model


def _sized(name: str, size: int | None) -> dict[str, Any]:
    """The argument for another size than that of the pretraining; classes that take images of any size have none."""
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    any_size = config is not None and not config.fixed_input_size
    return {} if any_size or size is None else {"img_size": size}


def model_arguments(name: str, size: int | None) -> dict[str, Any]:
    """The arguments beside the number of classes that timm's architecture of this name was made with."""
    stated = json.loads(_config(name).read_text()).get("model_args", {}) if name.startswith(names.HUB) else {}
    return {**stated, **_sized(name, size)}


def _repository(name: str, model: nn.Module) -> str | None:
    """The repository of a model's weights on the hub; None if timm knows none."""
    if name.startswith(names.HUB):
        return name.removeprefix(names.HUB)
    config = getattr(model, "pretrained_cfg", None)
    repository = config.get("hf_hub_id") if isinstance(config, dict) else None
    return None if repository is None else str(repository)


def _config(name: str) -> Path:
    """The file that describes a model on the hub."""
    try:
        return hub.file(name.removeprefix(names.HUB), ("config.json",))
    except UserError as error:
        raise UserError(f"cannot build backbone '{name}': {error}") from None


def _downloaded(name: str, model: nn.Module) -> Path:
    """The file of a model's weights on the hub."""
    hint = f"give a local file as {name}@FILE"
    repository = _repository(name, model)
    check(repository is not None, f"the hub has no weights of backbone '{name}'; {hint}")
    try:
        return hub.file(str(repository), hub.WEIGHTS)
    except UserError as error:
        raise UserError(f"cannot build backbone '{name}': {error}; offline, {hint}") from None
