"""Whether a method can act on a backbone at all, found out before the first run. No weights are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import methods
from benchmarks import backbones
from methods.errors import UserError

if TYPE_CHECKING:
    from methods.backbone import Backbone
    from methods.base import Config, Method

BYTES = 4  # per weight


@cache
def misfit(backbone: str, method: str, config: Config) -> str | None:
    """Why a method with these options cannot be wired onto a backbone, in one line; None if it can.

    It also cannot if its weights alone are larger than this machine's memory.

    Raises:
        UserError: the backbone is unknown.
    """
    bare(backbone)
    try:
        count = trained(backbone, method, config)
    except UserError as error:
        return f"backbone '{backbone}': {error}"
    except Exception:  # a bug: the run that meets it keeps its traceback, and the other runs go on
        return None
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    needs = f"{method}: {count:,} trained parameters need {BYTES * count / 1e9:.0f} GB"
    too_large = f"backbone '{backbone}': {needs}, but this machine has {memory / 1e9:.0f} GB; give smaller options"
    return too_large if BYTES * count > memory else None


@cache
def adds(backbone: str, method: str, config: Config) -> bool:
    """Whether a method that fits a backbone adds anything to its features, which PACE's noise could act on."""
    from methods.parts import noise

    with _wired(backbone, method, config) as (body, wired):
        return noise.adds(body, wired.eval())


@cache
def bare(name: str) -> Backbone:
    """The architecture alone. Every method is detached from it, so one serves all of them.

    Raises:
        UserError: the name is unknown, or the architecture is not supported.
    """
    import torch

    with torch.random.fork_rng([]), torch.device("meta"):
        return backbones.describe(backbones.build(name, pretrained=False))


@cache
def trained(backbone: str, method: str, config: Config, fresh: frozenset[str] = frozenset()) -> int:
    """The number of parameters that a method trains, without the head.

    Every method trains the parameters of the backbone that are named in ``fresh``, which its weights lack.
    """
    with _wired(backbone, method, config) as (body, wired):
        found = {id(p): p.numel() for p in (*body.module.parameters(), *wired.parameters()) if p.requires_grad}
        found |= {id(p): p.numel() for name, p in body.module.named_parameters() if name in fresh}
        return sum(found.values())


@cache
def passes(backbone: str, method: str, config: Config, epochs: int) -> float:
    """How many passes over the training samples a run takes, with all stages of its method."""
    with _wired(backbone, method, config) as (_, wired):
        return wired.epochs(epochs)


@contextmanager
def _wired(backbone: str, method: str, config: Config) -> Iterator[tuple[Backbone, Method]]:
    """A method on a backbone of random weights. Torch's random numbers stay as they were."""
    import torch

    bridged = method.startswith(methods.BRIDGE)  # tuners of Hugging Face PEFT may compute with the weights' values
    with torch.random.fork_rng([]), torch.device("cpu" if bridged else "meta"):
        body = backbones.describe(backbones.build(backbone, pretrained=False)) if bridged else bare(backbone)
        wired = methods.build(method, body, config)
        yield body, wired
        wired.detach()
