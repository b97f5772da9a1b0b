"""What is the same in every epoch is computed once: the groups of a point cloud, and the leading blocks.

Shapes: B samples, T tokens, D token width, F pooled features, L blocks.
"""

import os
from collections.abc import Callable
from typing import Any, cast

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from benchmarks.training.model import Classifier
from methods.backbone import modality

SHARE = 8  # a cache takes at most 1/8 of the free memory
AFTER = ("norm", "attn_pool", "fc_norm", "head", "head_drop")  # modules of a backbone that come after its blocks


def eval_batch_size(device: torch.device) -> int:
    """Samples per batch without gradients. It is small on a CPU, so that activations fit into the CPU's caches."""
    return 256 if device.type == "cuda" else 32


def unchanged_blocks(model: Classifier) -> int:
    """The number of leading blocks whose output for a sample never changes during training; 0 for segmentation.

    The method states this number. It is reduced to the blocks before the first part of the backbone that is trainable
    or random, or a BatchNorm whose statistics change. Where blocks cannot be called one by one, it is all of them or 0.
    """
    if model.kind.per_point:
        return 0  # its head reads the tokens of earlier blocks too
    depth = model.method.depth
    changing = [name for name, p in model.backbone.named_parameters() if p.requires_grad] + model.changing_batchnorms()
    if model.method.stochastic_backbone:
        changing += [name for name, module in model.backbone.named_modules() if _random(module)]
    unchanged = min(model.method.untouched(depth), depth, *(_block(name, depth) for name in changing))
    return unchanged if model.method.resumable or unchanged == depth else 0


def block_input(model: Classifier, x: Tensor, block: int) -> Tensor:
    """The input of a block for the samples ``x``.

    It is (B, T, D) for images, and (B, T, D + P) for clouds: tokens and their places. For ``block`` = L, the number of
    blocks, it is the pooled features (B, F).
    """
    backbone: Any = model.backbone
    if block == model.method.depth:
        return model.pooled(x)
    if modality(backbone) == "points":
        tokens, places = backbone.embed(x)
        return torch.cat([backbone.advance(tokens, places, backbone.blocks[:block]), places], dim=-1)
    seen: list[Tensor] = []
    # runs before the method's own hooks on this block, which change the tokens in every step
    handle = backbone.blocks[block].register_forward_pre_hook(lambda module, args: seen.append(args[0]), prepend=True)
    try:
        model.pooled(x)
    finally:
        handle.remove()
    return seen[0]


def resumed(model: Classifier, block: int, entered: Tensor) -> Tensor:
    """The logits (B, classes) for the output of ``block_input``: the rest of the model, from that block on."""
    backbone: Any = model.backbone
    if entered.ndim == 2:
        pooled = entered
    elif modality(backbone) == "points":
        tokens, places = entered.tensor_split([backbone.num_features], dim=-1)
        pooled = backbone.pool(backbone.advance(tokens, places, backbone.blocks[block:]))[0]
    else:
        pooled = backbone.forward_head(backbone.norm(backbone.blocks[block:](entered)))
    return cast(Tensor, model.head(model.method.features(pooled)))


@torch.no_grad()
def has_room(model: Classifier, x: Tensor, block: int) -> bool:
    """Whether the inputs of a block for all samples fit into memory."""
    model.eval()
    return fits(block_input(model, x[:1], block).nbytes * len(x), x.device)


@torch.no_grad()
def block_inputs(model: Classifier, x: Tensor, block: int, on_batch: Callable[[int, int], None]) -> Tensor:
    """``block_input`` for all samples, in eval mode, batch by batch.

    ``on_batch`` gets the number of samples that are done and the number of all samples after each batch.
    """
    model.eval()
    kept, size = x.new_empty(0), eval_batch_size(x.device)
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        entered = block_input(model, x[part], block)
        kept = entered.new_empty(len(x), *entered.shape[1:]) if start == 0 else kept
        kept[part] = entered
        on_batch(min(part.stop, len(x)), len(x))
    return kept


@torch.no_grad()
def prepared(model: Classifier, x: Tensor) -> Tensor:
    """Point clouds as groups of neighbours, so that each epoch need not search for them.

    Images are returned as they are. So are clouds whose groups would not fit into memory, whose points get labels, or
    that the method reads as a whole.
    """
    prepare: Callable[[Tensor], Tensor] | None = getattr(model.backbone, "prepare", None)
    whole = model.kind.per_point or model.method.reads_clouds
    if prepare is None or whole or not fits(prepare(x[:1]).nbytes * len(x), x.device):
        return x
    return torch.cat([prepare(part) for part in x.split(eval_batch_size(x.device))])


def fits(needed_bytes: int, device: torch.device) -> bool:
    """Whether ``needed_bytes`` are at most 1/8 of the free memory of the CUDA device or of this machine."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
        free = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    return needed_bytes * SHARE <= free


def _block(name: str, depth: int) -> int:
    """The index of the block of a parameter or module; 0 for a part before the blocks.

    A part after the blocks changes the pooled features, so at most the input of the last block can be cached:
    ``depth`` - 1.
    """
    part, *rest = name.split(".")
    if part == "blocks":
        return int(rest[0])
    return depth - 1 if part in AFTER else 0


def _random(module: nn.Module) -> bool:
    return bool((isinstance(module, nn.Dropout) and module.p) or (isinstance(module, DropPath) and module.drop_prob))
