"""The optimizer and the learning rate schedule of every method."""

from collections.abc import Mapping
from typing import Any

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler

from benchmarks.training.model import Classifier


def adamw(model: Classifier, lr: float, *, share: float = 1.0) -> torch.optim.Optimizer:
    """AdamW over the trainable weights, in the parameter groups that the method defines.

    The head learns at ``lr``, all other weights at ``share`` times ``lr``: the first steps of Adam move every weight by
    its rate whatever the gradient, and a head that has just been drawn distorts good features (Kumar et al. 2022,
    arXiv:2202.10054). PyTorch's fused form is used because it is the fastest (benchmarks/timing/README.md).
    """
    groups = model.method.param_groups(model)
    if share < 1:
        groups = [part for group in groups for part in _apart(group, set(model.head.parameters()), share)]
    return create_optimizer_v2(groups, opt="adamw", lr=lr, weight_decay=model.method.config.weight_decay, fused=True)


def cosine(optimizer: torch.optim.Optimizer, lr: float, *, steps: int, warmup_steps: int) -> CosineLRScheduler:
    """A learning rate that rises linearly to ``lr`` during warmup and then falls along a cosine, step by step."""
    return CosineLRScheduler(
        optimizer, t_initial=steps, warmup_t=warmup_steps, warmup_lr_init=lr / max(warmup_steps, 1), t_in_epochs=False
    )


def _apart(group: Mapping[str, Any], head: set[torch.nn.Parameter], share: float) -> list[dict[str, Any]]:
    """A parameter group as two: the head's weights, and all others with their share of the rate."""
    ours = [weight for weight in group["params"] if weight in head]
    others = [weight for weight in group["params"] if weight not in head]
    parts = {**group, "params": ours}, {**group, "params": others, "lr_scale": share}
    return [part for part in parts if part["params"]]
