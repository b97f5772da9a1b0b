"""SPT: sensitive weights train, one by one or by a module for their matrix (He et al. 2023, arXiv:2303.08566).

Shapes: B samples, N tokens, r rank. A matrix is (out, in); q, k and v of a fused qkv are three matrices.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self, cast

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.errors import check
from methods.options import at_least, fraction, positive
from methods.parts.layers import Bottleneck, LowRank
from methods.protocols import Trainer
from methods.stages.chosen import Entries, Removable, beside_linear, beside_norm, evenly, in_turn
from methods.stages.selection import Selecting
from methods.stages.sensitivity import Candidate, Group, most_sensitive

if TYPE_CHECKING:
    from collections.abc import Mapping

    import optuna


@dataclass(frozen=True, kw_only=True)
class SPTConfig(base.Config):
    """``share``: the most that trains, as a share of the backbone's parameters.

    The authors try 200,000 to 1,000,000 parameters on ViT-B/16, which are shares of 0.0023 to 0.0117.
    ``matrix_ratio``: a matrix gets a module if it has at least (parameters of the module) / ``matrix_ratio`` sensitive
    weights: 10 in the authors' scripts, 5 in their code by default. ``vector_ratio``: a vector trains whole if at least
    1 / ``vector_ratio`` of it is sensitive. ``batches``: how many give gradients. ``dropout`` acts on what a module
    reads and ``drop_path`` on what it returns.
    """

    lr: float = 3e-3
    share: Annotated[float, positive, fraction] = 0.005
    rank: Annotated[int, at_least(1)] = 8
    matrix_ratio: Annotated[int, at_least(1)] = 10
    vector_ratio: Annotated[int, at_least(1)] = 5
    batches: Annotated[int, at_least(1)] = 8
    dropout: Annotated[float, fraction] = 0.1
    drop_path: Annotated[float, fraction] = 0.1

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            share=trial.suggest_categorical("share", [0.0025, 0.005, 0.0075, 0.01]),
            rank=trial.suggest_categorical("rank", [2, 4, 8, 16]),
        )


class SPT(Selecting):
    """Squared gradients over 8 batches rank the weights of the blocks, and the most sensitive ones train in a budget.

    A matrix (q, k, v, proj, fc1, fc2) with many sensitive weights gets a module, a vector (biases, and what a LayerNorm
    has) with many of them trains whole, and elsewhere the sensitive entries train alone. The class token trains too, as
    in the authors' code (ziplab/SPT at 64ac94d).

    Not as there: the number of sensitive weights is the largest within the budget (theirs is the one of 79 that comes
    closest to it, from either side), and dropout acts on the module of proj too.

    Before the stage all candidates are wired: a module and some entries of every matrix, and every vector as a whole.
    """

    Config = SPTConfig

    @classmethod
    def unfrozen(cls, backbone: Backbone) -> set[str]:
        return backbone.class_token

    def __init__(self, backbone: Backbone, config: SPTConfig) -> None:
        super().__init__(backbone, config)
        self.entries, self.branches = nn.ModuleList(), nn.ModuleList()
        self._candidates, self._placed = list[Candidate](), list[tuple[nn.Linear, slice, Removable]]()
        given: Any = {"dropout": config.dropout, "drop_path": config.drop_path}
        for block in backbone.blocks:
            for target in block.matrices:
                linear, rows = block.matrix(target, "spt")
                module = Removable(self.made(linear.in_features, rows.stop - rows.start, config.rank), **given)
                self.branches.append(module)
                self._placed.append((linear, rows, module))
                weight = self._candidate(cast(nn.Parameter, linear.weight), rows, f"{block.name}.{target}", module)
                self.beside_rows(linear, rows, partial(beside_linear, weight, self._vector(linear.bias, rows)))
                self.place(linear, rows, module)
        for norm in backbone.operations:
            if isinstance(norm, nn.LayerNorm) and norm not in backbone.channels_first:
                weight, bias = self._candidate(norm.weight, slice(None)), self._vector(norm.bias, slice(None))
                self.beside(norm, partial(beside_norm, norm, weight, bias))
        self.unfreeze(backbone.parameters(backbone.class_token))
        whole = sum(p.numel() for _, p in backbone.named_parameters())
        token = sum(p.numel() for p in backbone.parameters(backbone.class_token))
        self.budget = max(0, int(config.share * whole) - token)

    @abstractmethod
    def made(self, inputs: int, outputs: int, rank: int) -> nn.Module:
        """The module of a matrix, which starts at zero and has linears ``down`` and ``up``."""

    @abstractmethod
    def place(self, linear: nn.Linear, rows: slice, module: Removable) -> None:
        """Let a module act on the output features that these rows of a linear compute."""

    def _vector(self, parameter: nn.Parameter | None, rows: slice) -> Entries | None:
        return None if parameter is None else self._candidate(parameter, rows)

    def _candidate(
        self, parameter: nn.Parameter, rows: slice, name: str = "", module: Removable | None = None
    ) -> Entries:
        config: Any = self.config
        size = parameter[rows].numel()
        cost, ratio = (module.size, config.matrix_ratio) if module else (size, config.vector_ratio)
        entries = Entries(parameter[rows].shape, evenly(max(1, int(config.share * size)) if module else size, size))
        self.entries.append(entries)
        self._candidates.append(Candidate(name, parameter, rows, entries, module, Group(size, cost, cost / ratio)))
        return entries

    def look(self, trainer: Trainer) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The entries that train, candidate by candidate, and which candidates train by a module."""
        config: Any = self.config
        parameters = list({id(c.parameter): c.parameter for c in self._candidates}.values())
        sums = {id(parameter): torch.zeros_like(parameter) for parameter in parameters}
        steps = min(config.batches, -(-len(trainer.x) // trainer.recipe.batch_size))
        for step, gradients in enumerate(trainer.gradients(parameters, batches=steps)):
            for total, gradient in zip(sums.values(), gradients, strict=True):
                total += gradient.square()
            trainer.tell("selection", step + 1, steps)
        scores = torch.cat([sums[id(c.parameter)][c.rows].flatten() for c in self._candidates])
        places, whole, params = most_sensitive(scores, [c.group for c in self._candidates], self.budget)
        chosen, modules = {"whole": whole}, list[str]()
        for number, (candidate, own, together) in enumerate(zip(self._candidates, places, whole, strict=True)):
            modules += [candidate.name] * bool(together and candidate.module)
            alone = torch.arange(0 if candidate.module else candidate.group.size) if together else own
            chosen[str(number)] = alone.to(torch.int32)
        return chosen, {"steps": steps, "sensitive": sum(map(len, places)), "params": params, "modules": modules}

    def choose(self, chosen: dict[str, Tensor]) -> None:
        """Train the chosen entries and modules."""
        for number, (candidate, whole) in enumerate(zip(self._candidates, chosen["whole"].tolist(), strict=True)):
            candidate.entries.choose(chosen[str(number)].to(candidate.entries.index.device))
            if candidate.module and not whole:
                candidate.module.empty()

    def settle(self, report: Mapping[str, Any]) -> str:
        """Wire the modules that the report names, and as many single weights as it counts, if the budget allows it."""
        told: Any = report.get("selection")
        fits = isinstance(told, dict) and isinstance(told.get("modules"), list) and type(told.get("params")) is int
        placed = {c.name: c.module for c in self._candidates if c.module}
        modules: set[str] = set(map(str, told["modules"])) if fits else set()
        check(fits and modules <= placed.keys(), "report.selection tells no modules of these blocks, or no params")
        params: int = told["params"]
        large = sum(placed[name].size for name in modules)
        alone = f"{large:,} parameters of modules, of {self.budget:,} that the budget allows"
        check(large <= params <= self.budget, f"report.selection.params is {params:,}, with {alone}")
        for candidate in self._candidates:
            candidate.entries.choose(torch.arange(0))
            if candidate.module and candidate.name not in modules:
                candidate.module.empty()
        self._candidates[0].entries.choose(torch.arange(params - large))
        return "which single weights train; their number is within the budget"

    @torch.no_grad()
    def merge(self) -> None:
        """Add the entries to the backbone for good."""
        for candidate in self._candidates:
            candidate.parameter[candidate.rows] += candidate.entries.delta()
        self._candidates.clear()
        self.remove_hooks()


class SPTLoRA(SPT):
    """SPT whose modules are LoRA without alpha / r: y + up(down(x)), beside the linear."""

    merges = "yes"

    def made(self, inputs: int, outputs: int, rank: int) -> nn.Module:
        """LoRA; r (in + out) parameters."""
        return LowRank(inputs, outputs, rank, scale=1.0)

    def place(self, linear: nn.Linear, rows: slice, module: Removable) -> None:
        """Add what it makes of the input."""
        self.beside_rows(linear, rows, module)

    @torch.no_grad()
    def merge(self) -> None:
        """Add every entry and every module to the backbone for good, and drop the hooks."""
        super().merge()
        for linear, rows, module in self._placed:
            if module.size:
                linear.weight[rows] += module.inner.delta()  # type: ignore[operator]
        self._placed.clear()


class SPTAdapter(SPT):
    """SPT whose modules are adapters after the linear: y + up(gelu(down(y))), with biases.

    In the authors' code the adapter of proj reads what proj reads; here it is after proj, as the others.
    """

    merges = "in part"

    def made(self, inputs: int, outputs: int, rank: int) -> nn.Module:
        """An adapter; 2 r out + r + out parameters."""
        return Bottleneck(outputs, rank, act="gelu")

    def place(self, linear: nn.Linear, rows: slice, module: Removable) -> None:
        """Let it read the output."""
        self.after(linear, partial(in_turn, module, rows))

    def merge(self) -> None:
        """Add every entry to the backbone for good. The adapters stay."""
        super().merge()
        for linear, rows, module in self._placed:
            if module.size:
                self.place(linear, rows, module)
