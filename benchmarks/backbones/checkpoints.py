"""Checkpoints of Point-MAE, Point-BERT, ACT and ReCon in the layouts that their authors publish; no pickle is run.

ReCon's file is larger than this architecture: the branches that its class, image and text token pass through are left
out, and what stays is the encoder of patches with 22.1 million parameters that PEFT studies tune. It is Point-MAE's
architecture with ReCon's weights and not ReCon's network, whose blocks add to tokens that they have normalised.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.files import pickles
from methods.errors import UserError, check

CONTAINERS = ("base_model", "model", "state_dict")
PREFIXES = ("MAE_encoder.", "ACT_encoder.", "transformer_q.", "base_model.", "")
TOKENS = frozenset({"cls_token", "cls_pos"})
DROPPED = (  # beside the encoder
    *("MAE_decoder.", "ACT_decoder.", "decoder_pos_embed.", "increase_dim.", "proj_head.", "transformer_k."),
    *("dvae.", "dvae_tokenizer.", "queue", "img_encoder.", "text_encoder.", "img_proj.", "text_proj.", "cls_proj."),
    *("mask_token", "lm_head.", "cls_head", "head.", "img_token", "text_token", "img_pos", "text_pos"),
)
BRANCHES = ("norm1_contrast.", "norm2_contrast.", "attn_contrast.", "mlp_contrast.")  # of ReCon's blocks


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file under the names of the point transformer, in float32.

    Raises:
        UserError: the file is damaged, asks to run code, or holds no tensors.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (OSError, SafetensorError, RuntimeError, EOFError, pickle.UnpicklingError, *pickles.BROKEN) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"refused {path}: it is no whole file of tensors: {reason}") from None
    tensors = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
    check(bool(tensors), f"{path} holds no tensors, neither at its top nor under {', '.join(CONTAINERS)}")
    return {name: t.float() if t.is_floating_point() else t for name, t in translated(tensors).items()}


def translated(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published names to those of the point transformer; what belongs beside the encoder is dropped, no more."""
    plain = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    prefix = next(p for p in PREFIXES if any(name.startswith(p) for name in plain))
    # ACT has a cls_pos both inside its encoder and beside it
    inner = {name.removeprefix(prefix): tensor for name, tensor in plain.items() if name.startswith(prefix)}
    outer = {name: t for name, t in plain.items() if not name.startswith(prefix) and name not in TOKENS}
    named = {name.replace("blocks.blocks.", "blocks.", 1): t for name, t in (outer | inner).items()}
    return {name: t for name, t in named.items() if not name.startswith(DROPPED) and not _is_branch(name)}


def fill(model: nn.Module, state: Mapping[str, Tensor]) -> frozenset[str]:
    """Load a state; returns the names of parameters that it has not, which is nothing or class token and position.

    Raises:
        UserError: names are missing or left over, or shapes differ; the message lists them.
    """
    own = model.state_dict()
    missing = own.keys() - state.keys()
    faults = {
        "missing": sorted(missing - TOKENS if missing >= TOKENS else missing),
        "left over": sorted(state.keys() - own.keys()),
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
            for name in sorted(own.keys() & state.keys())
            if state[name].shape != own[name].shape
        ],
    }
    check(not any(faults.values()), "; ".join(f"{what}: {_listed(names)}" for what, names in faults.items() if names))
    model.load_state_dict(dict(state), strict=False)
    return TOKENS & missing


def _unpickled(path: Path) -> dict[Any, Any]:
    # scores beside the weights are numpy's numbers in some published files
    allowed = [(stand_in, name) for name, stand_in in pickles.STAND_INS.items()]
    with torch.serialization.safe_globals(allowed):  # type: ignore[arg-type]
        loaded = torch.load(path, weights_only=True, map_location="cpu")
    for container in CONTAINERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(container), dict):
            loaded = loaded[container]
    return dict(loaded)


def _is_branch(name: str) -> bool:
    return any(f".{branch}" in name for branch in BRANCHES)


def _listed(names: Iterable[str]) -> str:
    first = list(names)
    return ", ".join(first[:6]) + (f" and {len(first) - 6} more" if len(first) > 6 else "")
