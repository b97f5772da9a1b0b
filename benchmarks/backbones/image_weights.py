"""Reads the weights of an image backbone from a file: .safetensors, .pth, or .npz in Google's layout."""

import re
import zipfile
import zlib
from collections.abc import Mapping
from importlib import import_module
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from benchmarks.backbones import tensors
from benchmarks.backbones.loading import check_finite, fill, listed
from benchmarks.backbones.wrappers import stripped
from methods.errors import UserError, check

Shape = tuple[int, ...]

HEADS = ("head.", "head_dist.", "fc.")  # a class head
# what timm and torch raise for weights that do not fit; neither has an error class of its own for that
MISFIT = (RuntimeError, LookupError, ValueError, AttributeError, TypeError, AssertionError, ZeroDivisionError)
UNREADABLE_NPZ = (OSError, EOFError, zipfile.BadZipFile, zlib.error, MemoryError)
POSITIONS = ("pos_embed", "pos_embedding", "visual.positional_embedding")  # their names end so
PATCHES = ("patch_embed.proj.weight", "embedding/kernel")


def load(model: nn.Module, name: str, path: Path) -> tuple[str, ...]:
    """Load a file of weights into the model. Returns one sentence for each tensor that was resampled to fit.

    A class head in the file is dropped, and so are the wrappers of known training scripts.

    Raises:
        UserError: the file cannot be read, does not fit the model, or holds NaN or infinite values.
    """
    try:
        shapes = (_google if path.suffix == ".npz" else _named)(model, path)
        check_finite(model)
    except (UserError, *UNREADABLE_NPZ, *MISFIT) as error:
        raise UserError(f"cannot load {path} into backbone '{name}': {tensors.reason(error)}") from None
    return _resampled(model, shapes)


def _named(model: nn.Module, path: Path) -> dict[str, Shape]:
    """Load tensors by name. Returns the shapes in the file."""
    own = model.state_dict()
    state = stripped(tensors.read(path), own)
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    check(bool(shapes), "it holds no tensors")
    # timm's own filter: it knows other projects' names, and resamples position embeddings to another image size
    reader = import_module(type(model).__module__).checkpoint_filter_fn
    filtered = reader(state, model, **({"adapt_layer_scale": True} if isinstance(model, VisionTransformer) else {}))
    weights = {key: value for key, value in filtered.items() if isinstance(value, Tensor)}
    known = any(key in own for key in weights)
    check(
        known, f"none of its names is one of the model's, such as {listed(sorted(own)[:3])}: {listed(sorted(weights))}"
    )
    unused = HEADS if any(key.startswith("attn_pool.") for key in own) else (*HEADS, "attn_pool.")
    fill(model, {key: value for key, value in weights.items() if key in own or not key.startswith(unused)})
    return shapes


def _google(model: Any, path: Path) -> dict[str, Shape]:
    """Load Google's layout. Returns the shapes in the file of what may be resampled, in torch's order."""
    with np.load(path) as arrays:  # no pickles
        blocks = {int(found[1]) for name in arrays.files if (found := re.search(r"encoderblock_(\d+)/", name))}
        kept = [name for name in arrays.files if name.endswith((*POSITIONS, *PATCHES))]
        shapes = {name: arrays[name].shape for name in kept}
    # timm's reader takes the blocks that the model has, and forgets the others
    check(len(blocks) in (0, len(model.blocks)), f"it has {len(blocks)} blocks, and the model has {len(model.blocks)}")
    model.load_pretrained(str(path))
    return {name: shape[::-1] if name.endswith("/kernel") else shape for name, shape in shapes.items()}


def _resampled(model: Any, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    told, positions, embed = [], getattr(model, "pos_embed", None), getattr(model, "patch_embed", None)
    for name, shape in shapes.items():
        if name.endswith(POSITIONS) and positions is not None and shape[-2] != positions.shape[-2]:
            classes = 0 if model.no_embed_class else model.num_prefix_tokens
            patches, (height, width) = shape[-2] - classes, model.patch_embed.grid_size
            side = isqrt(patches)
            told.append(f"position embeddings were resampled from {side} x {side} to {height} x {width} patches")
        projection = getattr(getattr(embed, "proj", None), "weight", None)
        if name.endswith(PATCHES) and len(shape) == 4 and projection is not None and shape[-1] != projection.shape[-1]:
            new = projection.shape[-1]
            told.append(f"patch embeddings were resampled from {shape[-1]} x {shape[-1]} to {new} x {new} pixels")
    return tuple(told)
