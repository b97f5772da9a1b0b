"""GPS: of every neuron, the weights with the largest gradients train (Zhang et al. 2024, arXiv:2312.10136).

Shapes: B samples, F pooled features. A weight of n neurons with m inputs each is (n, m).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone, Operation
from methods.options import at_least
from methods.parts.layers import is_norm
from methods.protocols import Model, Trainer
from methods.stages.chosen import Entries, evenly
from methods.stages.selection import Selecting

if TYPE_CHECKING:
    import optuna

TEMPERATURE = 0.07  # of the contrastive loss, as in the authors' code


@dataclass(frozen=True, kw_only=True)
class GPSConfig(base.Config):
    """``inputs``: how many weights of every neuron train, as ``times_para`` in the authors' code.

    ``score``: the loss whose gradients decide. "contrastive" sees no head. Labels of points have no such loss, so a
    segmentation is scored by its cross-entropy.
    """

    lr: float = 1e-2
    weight_decay: float = 0.0
    inputs: Annotated[int, at_least(1)] = 1
    score: Literal["contrastive", "cross_entropy"] = "contrastive"

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(**base.suggest_common(trial), inputs=trial.suggest_categorical("inputs", [1, 2, 4, 8]))


def contrastive(features: Tensor, labels: Tensor) -> Tensor:
    """The supervised contrastive loss (Khosla et al. 2020, equation 2) of features (B, F) with labels (B,).

    -mean over anchors i of mean over positives p of log(exp(z_i z_p / t) / sum over a != i of exp(z_i z_a / t)), with
    z the normalised features. Every sample is there twice and is its own positive; the authors' code augments the two.
    """
    z, y = F.normalize(features.float(), dim=1).repeat(2, 1), labels.repeat(2)
    same = torch.eye(len(z), dtype=torch.bool, device=z.device)
    with torch.autocast(z.device.type, enabled=False):  # bfloat16 is too coarse for a temperature this low
        products = z @ z.T
    share = (products / TEMPERATURE).masked_fill(same, -torch.inf).log_softmax(dim=1)
    positive = (y[:, None] == y) & ~same
    return -(share.masked_fill(~positive, 0).sum(dim=1) / positive.sum(dim=1)).mean()


def _scored(model: Model, x: Tensor, y: Tensor) -> Tensor:
    return contrastive(model.features(x), y)


def _added(entries: Entries, operation: Operation, x: Tensor) -> Tensor:
    """What the trained entries add to operation(x)."""
    delta = entries.delta()
    if isinstance(operation, nn.Conv1d | nn.Conv2d):
        convolve: Any = F.conv1d if isinstance(operation, nn.Conv1d) else F.conv2d
        added: Tensor = convolve(
            x, delta, None, operation.stride, operation.padding, operation.dilation, operation.groups
        )
        return added
    return F.linear(x, delta)


def _operations(backbone: Backbone) -> list[Operation]:
    """Every linear and convolution, first those that make tokens, and positions of points."""
    cloud, tokenizer = backbone.points, backbone.tokenizer[0]
    makers = [tokenizer] if cloud is None else [cloud.encoder, tokenizer, cloud.positions]
    first = [m for maker in makers for m in maker.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    return [*first, *(operation for operation in backbone.operations if not is_norm(operation))]


class GPS(Selecting):
    """W + M * dW: in every neuron M is 1 at the ``inputs`` weights with the largest absolute gradient, and 0 elsewhere.

    The neurons are those of every linear and convolution, also of those that make patches and positions. All biases but
    those of norms train too. A gradient is summed over one pass over the training samples. On ViT-B/16 there are 83,712
    neurons with a bias each: 167,424 parameters with one input per neuron.

    Before the stage, the inputs of every neuron are evenly spread over it. So the count is the same before and after.
    """

    Config = GPSConfig
    merges = "yes"

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        modules = backbone.module.modules()
        norms = {id(m.bias) for m in modules if is_norm(m) or isinstance(m, nn.modules.batchnorm._BatchNorm)}
        return {name for name, p in backbone.named_parameters() if name.endswith("bias") and id(p) not in norms}

    def __init__(self, backbone: Backbone, config: GPSConfig) -> None:
        super().__init__(backbone, config)
        self.entries = nn.ModuleList()
        self._wired: list[tuple[Operation, Entries]] = []
        for operation in _operations(backbone):
            neurons, inputs = operation.weight.flatten(1).shape
            spread = torch.arange(neurons)[:, None] + evenly(min(config.inputs, inputs), inputs)
            entries = Entries(operation.weight.shape, _flat(spread % inputs, inputs))
            self.entries.append(entries)
            self._wired.append((operation, entries))
            self.beside(operation, partial(_added, entries, operation))
        self.unfreeze(backbone.parameters(self.unfrozen(backbone)))

    def look(self, trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The inputs with the largest absolute gradient."""
        config: Any = self.config
        weights: list[Any] = [operation.weight for operation, _ in self._wired]
        totals = [torch.zeros_like(weight) for weight in weights]
        steps = -(-len(trainer.x) // trainer.recipe.batch_size)
        contrasted = config.score == "contrastive" and trainer.y.ndim == 1
        for step, gradients in enumerate(trainer.gradients(weights, _scored if contrasted else None)):
            for total, gradient in zip(totals, gradients, strict=True):
                total += gradient
            trainer.tell("selection", step + 1, steps)
        chosen = {}
        for number, total in enumerate(totals):
            size = total.flatten(1).abs()
            best = size.topk(min(config.inputs, size.shape[1]), dim=1).indices
            chosen[str(number)] = _flat(best.cpu(), size.shape[1])
        return chosen, {"steps": steps}

    def choose(self, chosen: dict[str, Tensor]) -> None:
        """Train the inputs that ``look`` chose."""
        for number, entries in enumerate(self._wired):
            entries[1].choose(chosen[str(number)].to(entries[1].index.device))

    @torch.no_grad()
    def merge(self) -> None:
        """Add every update to its weight for good, and drop the hooks."""
        for operation, entries in self._wired:
            operation.weight += entries.delta()
        self._wired.clear()
        self.remove_hooks()


def _flat(index: Tensor, inputs: int) -> Tensor:
    """Inputs (n, K) of the neurons of a weight as places in the flattened weight (n K,)."""
    return (index + torch.arange(len(index), device=index.device)[:, None] * inputs).flatten()
