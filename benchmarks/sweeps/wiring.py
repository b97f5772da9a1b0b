"""Whether a method can act on a backbone at all, found out before the first run. No weights are needed."""

from functools import cache
from typing import cast

import torch

import methods
from benchmarks import backbones
from methods.base import Backbone, Config
from methods.errors import UserError


@cache
def misfit(backbone: str, method: str, config: Config) -> str | None:
    """Why a method with these options cannot be wired onto a backbone, in one line; None if it can.

    The tuners of Hugging Face PEFT are not tried: some need the values of the weights, which a bare backbone lacks.
    """
    if method.startswith(methods.BRIDGE):
        return None
    try:
        with torch.device("meta"):
            methods.build(method, bare(backbone), config).detach()
    except UserError as error:
        return f"backbone '{backbone}': {error}"
    return None


@cache
def bare(name: str) -> Backbone:
    """The architecture alone. Every method is detached from it, so one serves all of them."""
    with torch.device("meta"):
        return cast(Backbone, backbones.build(name, pretrained=False))
