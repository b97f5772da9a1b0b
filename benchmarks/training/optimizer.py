"""The optimizer and the learning rate schedule of every method."""

import torch
from timm.optim import create_optimizer_v2
from timm.scheduler.cosine_lr import CosineLRScheduler

from benchmarks.training.model import Classifier


def adamw(model: Classifier, lr: float) -> torch.optim.Optimizer:
    """AdamW over the trainable weights, in the parameter groups that the method defines.

    PyTorch's fused form is used because it is the fastest (benchmarks/timing/README.md).
    """
    groups = model.method.param_groups(model)
    return create_optimizer_v2(groups, opt="adamw", lr=lr, weight_decay=model.method.config.weight_decay, fused=True)


def cosine(optimizer: torch.optim.Optimizer, lr: float, *, steps: int, warmup_steps: int) -> CosineLRScheduler:
    """A learning rate that rises linearly to ``lr`` during warmup and then falls along a cosine, step by step."""
    return CosineLRScheduler(
        optimizer, t_initial=steps, warmup_t=warmup_steps, warmup_lr_init=lr / max(warmup_steps, 1), t_in_epochs=False
    )
