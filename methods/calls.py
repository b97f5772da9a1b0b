"""A proof that a wired method acts: one forward pass must call every module that it acts on.

Some timm modules are read and not called. For example, an attention that multiplies by ``qkv.weight`` itself never
calls the hooks on ``qkv``, and a method there would train nothing that the model uses.
"""

from collections import Counter
from functools import partial

import torch
from torch import nn

from methods.backbone import Backbone
from methods.base import Method
from methods.errors import check


@torch.no_grad()
def check_called(name: str, method: Method, backbone: Backbone) -> None:
    """Run the backbone once on its sample, in eval mode.

    Raises:
        UserError: a module that the method acts on was not called exactly once; the message names both, and the class.
    """
    body, calls = backbone.module, Counter[str]()
    places = method.acted_on(body)
    counting = [m.register_forward_pre_hook(partial(_count, calls, place)) for place, m in places.items()]
    modes = [(module, module.training) for module in (body, method)]
    try:
        method.eval().features(body.eval()(backbone.sample()))  # features empties the method's taps
    finally:
        for handle in counting:
            handle.remove()
        for module, training in modes:
            module.train(training)
    wrong = {place: calls[place] for place in places if calls[place] != 1}
    for place, times in wrong.items():
        kinds = f"{type(body).__name__} calls it {times} times in one forward pass"
        check(False, f"method '{name}' acts on {place} ({type(places[place]).__name__}), but {kinds} and not once")


def _count(calls: Counter[str], place: str, module: nn.Module, args: tuple[object, ...]) -> None:
    calls[place] += 1
