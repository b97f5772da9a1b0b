"""Image backbones: the embedded vit_nano, and timm's VisionTransformers with their own or a local file's weights."""

import zipfile
import zlib
from functools import partial
from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from timm.data import resolve_model_data_config
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from timm.models.vision_transformer_hybrid import ConvStem, HybridEmbed
from torch import Tensor, nn

from benchmarks.backbones import tensors
from methods.errors import UserError, unknown

AMBIGUOUS = "vit_base_patch16_224_in21k"
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# what timm and torch raise for weights that do not fit; neither has an error class of its own for that
MISFIT = (RuntimeError, LookupError, ValueError, AttributeError, TypeError)
UNSUPPORTED = "is not supported: only timm's VisionTransformer models are"
UNREADABLE_NPZ = (OSError, EOFError, zipfile.BadZipFile, zlib.error)


def vit_nano(drop_path: float = 0.0) -> VisionTransformer:
    """12 blocks of width 96 over 16 tokens, which a stem of three stride-2 convolutions makes from a 32 x 32 image."""
    width = 96
    stem = ConvStem(
        depth=3, channels=(width // 4, width // 2, width), kernel_size=3, stride=(2, 2, 2), padding=(1, 1, 1)
    )
    return VisionTransformer(
        img_size=32,
        patch_size=1,  # one token per position of the stem's 4 x 4 map
        embed_dim=width,
        depth=12,
        num_heads=3,
        num_classes=0,
        drop_path_rate=drop_path,
        embed_layer=partial(HybridEmbed, backbone=stem),
    )


def image_normalization(name: str) -> tuple[tuple[float, ...], tuple[float, ...], int]:
    """The mean, standard deviation and image size that a model's weights were trained with, as timm states them.

    Raises:
        UserError: timm has no such model.
    """
    model = name.partition("@")[0]
    if model == "vit_nano":
        return *HALF, 32
    with torch.device("meta"):
        data = resolve_model_data_config(_create(model, pretrained=False, drop_path=0.0))
    return tuple(data["mean"]), tuple(data["std"]), int(data["input_size"][-1])


def is_downloaded(name: str) -> bool:
    """Whether the weights of a timm model are on this machine already.

    Raises:
        UserError: timm has no such model.
    """
    with torch.device("meta"):
        config = _create(name, pretrained=False, drop_path=0.0).pretrained_cfg
    repository = config.get("hf_hub_id") if isinstance(config, dict) else None
    return repository is not None and isinstance(try_to_load_from_cache(repository, "model.safetensors"), str)


def build_image(name: str, *, pretrained: bool, drop_path: float, weights: Path | None) -> nn.Module:
    """An image backbone without its class head, in eval mode.

    ``weights`` is a local file: .safetensors, .pth, or .npz in Google's layout. Without it the weights of a pretrained
    model come from the Hugging Face hub.

    Raises:
        UserError: the model is unknown or not a VisionTransformer, or its weights cannot be fetched, read or loaded.
    """
    if name == "vit_nano":
        model = vit_nano(drop_path)
    else:
        model = _create(name, pretrained=pretrained and weights is None, drop_path=drop_path)
    if weights is not None:
        _load(model, name, weights)
    return model.eval()


def _create(name: str, *, pretrained: bool, drop_path: float) -> VisionTransformer:
    if name == AMBIGUOUS:
        raise UserError(
            f"'{AMBIGUOUS}' now stands for other weights than those in papers; choose vit_base_patch16_224.orig_in21k "
            "(used in papers) or vit_base_patch16_224.augreg_in21k"
        )
    if not timm.is_model(name):
        raise UserError(unknown("backbone", name, ["vit_nano", "point_nano", *timm.list_models("vit_*_224")]))
    try:
        model = timm.create_model(name, pretrained=pretrained, num_classes=0, drop_path_rate=drop_path)
    except (OSError, RuntimeError) as error:  # the hub cannot be reached, or has no such weights
        hint = f"offline, give a local file as {name}@FILE"
        raise UserError(f"cannot build backbone '{name}': {tensors.reason(error)}; {hint}") from None
    except TypeError as error:  # some other architectures do not take these arguments
        raise UserError(f"backbone '{name}' {UNSUPPORTED} ({tensors.reason(error)})") from None
    if not isinstance(model, VisionTransformer):
        raise UserError(f"backbone '{name}' {UNSUPPORTED} (it is a {type(model).__name__})")
    return model


def _load(model: VisionTransformer, name: str, path: Path) -> None:
    """Load a file of weights into the model. A class head in the file is dropped."""
    state = {} if path.suffix == ".npz" else tensors.read(path)
    try:
        if path.suffix == ".npz":
            model.load_pretrained(str(path))  # timm reads Google's layout, without pickles
            return
        # timm's own filter: it knows other projects' names, and resamples position embeddings to another image size
        filtered = checkpoint_filter_fn(state, model)
        weights = {key: value.float() for key, value in filtered.items() if isinstance(value, Tensor)}
        model.load_state_dict({key: t for key, t in weights.items() if not key.startswith(("head.", "head_dist."))})
    except (*UNREADABLE_NPZ, *MISFIT) as error:
        raise UserError(f"cannot load {path} into backbone '{name}': {tensors.reason(error)}") from None
