"""What is the same in every epoch, computed once: groups of points, and the blocks that a method leaves alone.

Shapes: B samples, T tokens, D token width, F pooled features, L blocks.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from methods.base import modality

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from benchmarks.training.model import Classifier

SHARE = 8  # a cache takes at most this part of the memory that is free
AFTER = ("norm", "fc_norm", "head", "head_drop")  # modules of a backbone that come after its blocks


def eval_batch_size(device: torch.device) -> int:
    """Samples a batch where no gradient is asked for: on a CPU few, for activations of many leave its caches."""
    return 256 if device.type == "cuda" else 32


def length(model: Classifier) -> int:
    """How many of the first blocks put out the same for a sample in every step, and all before them does.

    What the method says, or less: up to the first thing in the backbone that trains or is random.
    """
    backbone, blocks = model.backbone, depth(model.backbone)
    changing = [name for name, p in backbone.named_parameters() if p.requires_grad]
    if model.method.stochastic_backbone:
        changing += [name for name, module in backbone.named_modules() if _random(module)]
    declared = model.method.untouched(blocks)
    return min(declared, _first(changing, blocks))


def state(model: Classifier, x: Tensor, block: int) -> Tensor:
    """What enters a block: images (B, T, D), clouds (B, 2, T, D), tokens and positions; (B, F) after the last."""
    backbone: Any = model.backbone
    if block == depth(backbone):
        return model.pooled(x)
    if modality(backbone) == "points":
        tokens, positions = backbone.embed(x)
        return torch.stack([backbone.advance(tokens, positions, backbone.blocks[:block]), positions], dim=1)
    seen: list[Tensor] = []
    # before the hooks of the method, which act on it in every step
    handle = backbone.blocks[block].register_forward_pre_hook(lambda module, args: seen.append(args[0]), prepend=True)
    try:
        model.pooled(x)
    finally:
        handle.remove()
    return seen[0]


class Resumed:
    """A model that goes on from the state before a block: (B, T, D), (B, 2, T, D) or (B, F) -> logits (B, classes)."""

    def __init__(self, model: Classifier, block: int) -> None:
        self.model, self.block = model, block

    def __call__(self, entered: Tensor) -> Tensor:
        pooled = entered if entered.ndim == 2 else self._pooled(entered)
        return cast(Tensor, self.model.head(self.model.method.features(pooled)))

    def _pooled(self, entered: Tensor) -> Tensor:
        backbone: Any = self.model.backbone
        blocks = backbone.blocks[self.block :]
        if entered.ndim == 4:
            tokens, positions = entered.unbind(1)
            pooled: Tensor = backbone.pool(backbone.advance(tokens, positions, blocks))[0]
            return pooled
        return cast(Tensor, backbone.forward_head(backbone.norm(blocks(entered))))


@torch.no_grad()
def room(model: Classifier, x: Tensor, block: int) -> bool:
    """Whether there is memory for the state before a block of all samples."""
    model.eval()
    return fits(state(model, x[:1], block).nbytes * len(x), x.device)


@torch.no_grad()
def computed(model: Classifier, x: Tensor, block: int, tell: Callable[[int, int], None]) -> Tensor:
    """The state before a block of all samples, in eval mode."""
    model.eval()
    kept, size = x.new_empty(0), eval_batch_size(x.device)
    for start in range(0, len(x), size):
        part = slice(start, start + size)
        entered = state(model, x[part], block)
        kept = entered.new_empty(len(x), *entered.shape[1:]) if start == 0 else kept
        kept[part] = entered
        tell(min(part.stop, len(x)), len(x))
    return kept


@torch.no_grad()
def prepared(model: Classifier, x: Tensor) -> Tensor:
    """Clouds as groups of neighbours, which are then looked for once; images, or what would not fit, as they are."""
    prepare: Callable[[Tensor], Tensor] | None = getattr(model.backbone, "prepare", None)
    if prepare is None or not fits(prepare(x[:1]).nbytes * len(x), x.device):
        return x
    return torch.cat([prepare(part) for part in x.split(eval_batch_size(x.device))])


def fits(needed_bytes: int, device: torch.device) -> bool:
    """Whether so much is at most an eighth of the memory that is free, of the CUDA device or of this machine."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
        free = os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")
    return needed_bytes * SHARE <= free


def depth(backbone: Any) -> int:
    """How many blocks there are."""
    return len(backbone.blocks)


def _first(names: Iterable[str], depth: int) -> int:
    """The first block among the owners of these names; 0 if any comes before the blocks, ``depth`` if all come after.

    What comes after the blocks changes pooled features, so it leaves no more than the input of the last block.
    """
    places = [depth]
    for name in names:
        head, _, rest = name.partition(".")
        if head == "blocks":
            places.append(int(rest.partition(".")[0]))
        else:
            places.append(depth - 1 if head in AFTER else 0)
    return min(places)


def _random(module: nn.Module) -> bool:
    return (isinstance(module, nn.Dropout) and module.p > 0) or (
        isinstance(module, DropPath) and module.drop_prob is not None and module.drop_prob > 0
    )
