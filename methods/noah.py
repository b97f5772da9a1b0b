"""NOAH: prompts, adapters and LoRA whose widths are searched block by block (Zhang et al. 2022, arXiv:2206.04673).

Shapes: B samples, N tokens, D token width, L blocks. W is the largest width of a nested module, w its width in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Self

import torch
from torch import Tensor, nn

from methods import base
from methods.backbone import Backbone
from methods.base import Method, Published
from methods.errors import check
from methods.nested import FAMILIES, NestedAdapter, NestedLowRank, NestedPrompts, exchange, take_off
from methods.options import at_least, at_most, fraction, positive
from methods.protocols import Criterion, Trainer
from methods.search import Evolution, Genes, Space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import optuna


@dataclass(frozen=True, kw_only=True)
class NOAHConfig(base.Config):
    """``supernet_*`` belong to the first stage, and ``lr`` to the third, which trains the winner.

    ``population`` to ``max_params`` belong to the second, the search. A subnet has at most ``max_params`` parameters.
    The default allows what the authors' 640,000 allows on ViT-B/16: they also count 77,568 to 84,480 weights of prompts
    and positions at the input, which their first block replaces.
    """

    widths: tuple[int, ...] = (1, 5, 10)
    dropout: Annotated[float, fraction] = 0.1
    supernet_epochs: Annotated[int, at_least(1), at_most(100_000)] = 500
    supernet_lr: Annotated[float, positive] = 5e-4
    population: Annotated[int, at_least(1), at_most(10_000)] = 50
    parents: Annotated[int, at_least(1)] = 10
    mutants: Annotated[int, at_most(10_000)] = 25
    crossovers: Annotated[int, at_most(10_000)] = 25
    rounds: Annotated[int, at_most(10_000)] = 15
    max_params: Annotated[int, at_least(1), at_most(10**9)] = 555_000

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = self.widths
        check(len(widths) > 0 and min(widths, default=0) >= 1, f"widths={widths} must be positive and not empty")

    @classmethod
    def suggest(cls, trial: optuna.Trial) -> Self:
        return cls(
            **base.suggest_common(trial),
            max_params=trial.suggest_categorical("max_params", [140_000, 280_000, 555_000]),
        )


class NOAH(Method):
    """A supernet of adapter, LoRA and prompts in every block, whose best subnet trains again from the start.

    The search is an evolution on the validation split. Before ``fit`` this is the supernet at its largest widths. After
    it this is the winner and holds no other weight.

    The evolution differs from the authors' by choice. A mutant draws every width again with probability 0.2 and every
    depth with 0.4; theirs draws a family's depth again with 0.08, and widths only for blocks that are new to it. A
    crossover takes gene by gene from its parents; theirs takes whole families. A subnet that was scored before may be
    drawn again, and is not scored again; theirs is replaced. Of equal scores the smaller subnet wins; there, the first.
    """

    Config = NOAHConfig
    needs_attention = True
    published = Published(image="0.43 M")
    identity_at_start = False  # attention sees the prompts from the first step on

    def __init__(self, backbone: Backbone, config: NOAHConfig) -> None:
        super().__init__(backbone, config)
        self.admit_prompts(backbone, "noah")
        largest, widths = max(config.widths), [block.width for block in backbone.blocks]
        self.adapter = nn.ModuleList(NestedAdapter(dim, largest, config.dropout) for dim in widths)
        self.lora = nn.ModuleList(NestedLowRank(dim, largest, config.dropout) for dim in widths)
        self.prompts = nn.ModuleList(NestedPrompts(dim, largest, config.dropout) for dim in widths)
        modules: Iterator[Any] = zip(self.adapter, self.lora, self.prompts, strict=True)
        for stage in backbone.stages:
            own = [next(modules) for _ in stage]
            prompts = [family[2] for family in own]
            for number, (block, (adapter, update, _)) in enumerate(zip(stage, own, strict=True)):
                self.before(block.module, partial(exchange, prompts, number))
                self.beside(block.linear("qkv", "noah"), update)
                self.after(block.ffn.out, adapter)  # it acts on what drop-path leaves of the FFN, and is not dropped
            self.after(stage[-1].module, partial(take_off, prompts, len(stage)))
        self.space = Space(families=len(FAMILIES), blocks=len(widths), widths=config.widths)
        self._drawing, self._story = False, dict[str, Any]()

    def nested(self) -> list[tuple[Any, ...]]:
        """The modules by family, block by block, in the order of the genes."""
        return [tuple(getattr(self, family)) for family in FAMILIES]

    def activate(self, genes: Genes) -> None:
        """Use the widths that the genes name. The other rows stay but are not used."""
        for modules, widths in zip(self.nested(), self.space.widths_of(genes), strict=True):
            for module, width in zip(modules, widths, strict=True):
                module.width = width

    def slim(self, genes: Genes) -> None:
        """Drop every row that the genes do not use."""
        for modules, widths in zip(self.nested(), self.space.widths_of(genes), strict=True):
            for module, width in zip(modules, widths, strict=True):
                module.resize(width)

    def count(self, genes: Genes) -> int:
        """The number of parameters of a subnet."""
        families = zip(self.nested(), self.space.widths_of(genes), strict=True)
        return sum(m.count(w) for modules, widths in families for m, w in zip(modules, widths, strict=True))

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross-entropy. While the supernet trains, each step draws a subnet."""
        if self._drawing:
            self.activate(self.space.draw(lambda choices: int(torch.randint(choices, ()))))
        return criterion(model(x), y)

    def epochs(self, epochs: int) -> float:
        """Epochs of supernet, search and winner.

        Scoring a subnet costs a fifteenth of an epoch: a forward pass (a third of a step) over the held-out fifth.
        """
        config: Any = self.config
        judged = config.population + config.rounds * (config.mutants + config.crossovers)
        return float(config.supernet_epochs + judged / 15 + epochs)

    def fit(self, trainer: Trainer) -> None:
        """Train the supernet, search it on the validation split, start again, and train the winner."""
        self._train_supernet(trainer)
        best = self._search(trainer)
        trainer.restart()
        self.slim(best)
        super().fit(trainer)

    def untouched(self, depth: int) -> int:
        """The blocks before the first one in which the subnet has a module."""
        used = (any(module.width for module in modules) for modules in zip(*self.nested(), strict=True))
        return next((block for block, any_used in enumerate(used) if any_used), depth)

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The widths that the search found, block by block, and what the search cost."""
        return super().report(trainer) | self._story

    def _train_supernet(self, trainer: Trainer) -> None:
        """Train the supernet, or load it if an earlier execution of this run has trained it."""
        config: Any = self.config
        kept = trainer.kept("supernet")
        if kept is None:
            self._drawing = True
            stage = trainer.stage("supernet", epochs=config.supernet_epochs, lr=config.supernet_lr, split="train")
            self._drawing = False
            kept = (trainer.model.trained_state(), {"supernet": stage})
            trainer.keep("supernet", *kept)
        state, values = kept
        trainer.model.load_state_dict(state, strict=False)
        self._story |= values

    def _search(self, trainer: Trainer) -> Genes:
        """The best subnet of an evolution, which continues after its last finished generation."""
        config: Any = self.config

        def fitness(genes: Genes) -> float:
            self.activate(genes)
            return trainer.validate()

        evolution = Evolution(
            self.space,
            fitness=fitness,
            legal=lambda genes: self.count(genes) <= config.max_params,
            size=self.count,
            sizes=(config.population, config.parents, config.mutants, config.crossovers),
            seed=trainer.seed,
        )
        kept = trainer.kept("evolution")
        if kept is not None:
            evolution.resume(kept[1])
        while evolution.generation <= config.rounds:
            evolution.step()
            trainer.keep("evolution", {}, evolution.state())
            trainer.tell("search", evolution.generation, config.rounds + 1)
        best = evolution.best()
        widths = self.space.widths_of(best)
        self._story |= {
            "architecture": {family: list(found) for family, found in zip(FAMILIES, widths, strict=True)},
            "search": evolution.summary() | {"val_accuracy": evolution.scores[best], "params": self.count(best)},
        }
        return best
