"""Hugging Face PEFT's tuners (Mangrulkar et al. 2022, github.com/huggingface/peft) as methods named hf:TYPE.

They keep less of the contract than the methods of this project, because PEFT replaces modules where ours hook them:

- The backbone's weights keep their values, but their keys contain ``base_layer`` until ``merge`` or ``detach``. The
  backbone's state holds the new weights too (``injected``).
- hf:dora, hf:frod, hf:shira and hf:waveft do not compile to one graph (seen with torch 2.14 and PEFT 0.21).
- hf:lily does not merge. No type can merge a change of a bias into a linear without a bias.
- hf:adamss, hf:osf, hf:pissa, hf:psoft and in part hf:frod decompose the backbone's weights. Loading a task file
  computes these decompositions again.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from methods.backbone import Backbone
from methods.base import Method
from methods.errors import UserError, check, unknown
from methods.hf.config import PREFIX, HFConfig, library, make
from methods.protocols import Criterion, Trainer

NAME = "default"  # PEFT's name of its one adapter
STARTS_ELSEWHERE = {"c3a", "fourierft", "unilora", "vblora"}  # their first updates are random and not zero
DOES_NOT_MERGE = {"lily"}


class HF(Method):
    """A tuner of Hugging Face PEFT, in modules of every block."""

    Config = HFConfig
    merges = "yes"  # unless it changes the bias of a linear that has none
    config: HFConfig

    def __init__(self, backbone: Backbone, config: HFConfig) -> None:
        super().__init__(backbone, config)
        body, blocks = backbone.module, [block.name for block in backbone.blocks]
        modules = dict(body.named_modules())
        _check_targets(config, modules, blocks)
        peft = config.peft(blocks)
        before = [(p, p.detach().clone()) for name in peft.target_modules for p in modules[name].parameters()]
        known = {id(tensor) for tensor in body.state_dict(keep_vars=True).values()}
        # a tuple, because as a submodule the tuner would own the backbone
        self._tuner: tuple[Any, ...] = (_inject(body, peft, config.kind),)
        self._replaced = {name: module for name, module in modules.items() if body.get_submodule(name) is not module}
        self.shared = _outside(self._tuner[0], body)
        # a tensor that modules share is saved under its first name
        names = {id(tensor): name for name, tensor in reversed(body.state_dict(keep_vars=True).items())}
        self.injected = frozenset(name for tensor, name in names.items() if tensor not in known)
        for parameter, value in before:
            if not torch.equal(parameter, value):  # such as hf:pissa, which takes its start out of the weights
                self.remember(parameter, value)
        self.unfreeze(p for n, p in body.named_parameters() if p.requires_grad and n not in self.injected)

    @torch.no_grad()
    def merge(self) -> None:
        """Fold the updates into the weights, which get their own keys back. If PEFT cannot do that, nothing changes."""
        if not self._tuner:
            return
        body = self._tuner[0].model
        try:  # on copies, because a layer may change its weight before it refuses
            for name in self._replaced:
                copy.deepcopy(body.get_submodule(name)).merge()
        except (RuntimeError, ValueError):  # such as NotImplementedError, or a bias for a linear without one
            return
        self._tuner[0].merge_and_unload()
        self._forget()

    def detach(self) -> None:
        """Give the backbone back as it was: its own modules, its first values, frozen."""
        if self._tuner:
            body = self._tuner[0].model
            for name, module in self._replaced.items():
                body.set_submodule(name, module)
            del body.peft_config
            self._forget()
        super().detach()

    def acted_on(self, body: nn.Module) -> dict[str, nn.Module]:
        """The modules that PEFT put in place of the backbone's."""
        return {name: body.get_submodule(name) for name in self._replaced}

    def untouched(self, depth: int) -> int:
        """The blocks before the first of ``layers_to_transform``."""
        return min(self.config.layers_to_transform, default=0)

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The version of PEFT, whose code decided the numbers."""
        return super().report(trainer) | {"peft_version": library().__version__}

    def _forget(self) -> None:
        self._tuner, self._replaced, self.injected = (), {}, frozenset()


class AdaLoRA(HF):
    """hf:adalora: after every step it sets the least important ranks to zero, down to the budget of that step."""

    def __init__(self, backbone: Backbone, config: HFConfig) -> None:
        super().__init__(backbone, config)
        self._step, self._steps, self._stepped = 0, 0, False

    def fit(self, trainer: Trainer) -> None:
        """Train, and prune after every step.

        Raises:
            UserError: the options leave no step to prune in.
        """
        peft = self._tuner[0].peft_config[NAME]
        self._steps = trainer.recipe.epochs * math.ceil(len(trainer.x) / trainer.recipe.batch_size)
        free = self._steps - peft.tinit - peft.tfinal
        check(free > 0, f"tinit={peft.tinit} and tfinal={peft.tfinal} leave none of {self._steps} steps to prune in")
        peft.total_step, self._step = self._steps, 0
        trainer.train()
        self._prune()
        self._steps = 0

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """The criterion's loss, plus how far the singular vectors are from orthogonal, times PEFT's weight."""
        self._prune()
        self._stepped = self._steps > 0
        weight = float(self._tuner[0].peft_config[NAME].orth_reg_weight)
        return super().loss(model, x, y, criterion) + weight * self._skewness()

    def train(self, mode: bool = True) -> Self:
        """Change the mode. Before an evaluation it prunes for the last step too."""
        if not mode:
            self._prune()
        return super().train(mode)

    def _prune(self) -> None:
        """Prune once after every step, while its gradients exist: PEFT judges ranks by them."""
        if self._stepped:
            self._stepped, self._step = False, self._step + 1
            self._tuner[0].update_and_allocate(self._step)

    def _skewness(self) -> Tensor:
        """The mean of the Frobenius norms of A A^T - I and B^T B - I over all A (r, in) and B (out, r)."""
        named = self._tuner[0].model.named_parameters()
        rows = [p.T if ".lora_B." in n else p for n, p in named if ".lora_A." in n or ".lora_B." in n]
        norms = [torch.linalg.norm(r @ r.T - torch.eye(len(r), dtype=r.dtype, device=r.device)) for r in rows]
        return torch.stack(norms).mean()


SPECIAL: Mapping[str, type[HF]] = {"adalora": AdaLoRA}


@cache
def get(name: str) -> type[HF]:
    """The method of the name hf:TYPE.

    Raises:
        UserError: unknown type, a type that does not work here, or PEFT is not installed; the message says what to do.
    """
    kind = name.removeprefix(PREFIX)
    config = make(kind)
    inside = {
        "Config": config,
        "identity_at_start": kind not in STARTS_ELSEWHERE,  # for some types only up to rounding
        "merges": "no" if kind in DOES_NOT_MERGE else "yes",
        "__doc__": f"{kind} of Hugging Face PEFT.",
        "__module__": __name__,
    }
    return cast(type[HF], type(kind, (SPECIAL.get(kind, HF),), inside))


def __getattr__(name: str) -> type[HFConfig]:
    """A configuration class by the name under which pickle asks for it."""
    kind, ending, rest = name.partition("_options")
    if not ending or rest or kind.startswith("_"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return get(PREFIX + kind).Config


def _check_targets(config: HFConfig, modules: Mapping[str, nn.Module], blocks: Sequence[str]) -> None:
    """Refuse targets and layers that the backbone does not have."""
    first, depth = f"{blocks[0]}.", len(blocks)
    leaves = (nn.Linear, nn.LayerNorm)
    known = [
        name.removeprefix(first) for name, m in modules.items() if name.startswith(first) and isinstance(m, leaves)
    ]
    for target in config.target_modules:
        if first + target not in modules:
            raise UserError(f"{PREFIX}{config.kind}: {unknown('target_modules', target, known)}")
    outside = [layer for layer in config.layers_to_transform if not 0 <= layer < depth]
    check(not outside, f"{PREFIX}{config.kind}: layers_to_transform={outside} must be from 0 to {depth - 1}")


def _outside(tuner: nn.Module, body: nn.Module) -> nn.ModuleDict:
    """The modules of the tuner with weights that the backbone does not hold.

    The method owns them, so that they are moved and saved with it.
    """
    inside = {id(tensor) for tensor in [*body.parameters(), *body.buffers()]}
    children = {name: child for name, child in tuner.named_children() if child is not body}
    return nn.ModuleDict(
        {name: c for name, c in children.items() if {id(t) for t in [*c.parameters(), *c.buffers()]} - inside}
    )


def _inject(body: nn.Module, peft: Any, kind: str) -> Any:
    """Let PEFT put its modules into the backbone, and return its tuner.

    This builds the tuner as PEFT's get_peft_model does. PEFT's inject_adapter_in_model would drop the tuner, which
    merge needs, and would refuse the types whose modules share weights.

    Raises:
        UserError: PEFT refuses the options on this backbone.
    """
    tuners = import_module("peft.mapping").PEFT_TYPE_TO_TUNER_MAPPING
    try:
        return tuners[peft.peft_type](body, peft, NAME)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{PREFIX}{kind}: PEFT refuses this backbone: {reason}") from None
