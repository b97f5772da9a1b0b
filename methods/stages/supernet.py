"""A supernet is trained, an evolution finds its best subnet, and this winner is trained: methods that search."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from torch import Tensor

from methods import base
from methods.backbone import Backbone
from methods.base import Method
from methods.errors import check
from methods.options import at_least, at_most, positive
from methods.protocols import Criterion, Trainer
from methods.stages import search
from methods.stages.search import Evolution, Gene, Genes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, kw_only=True)
class SupernetConfig(base.Config):
    """``supernet_*`` belong to the first stage, and ``lr`` to the third, which trains the winner.

    ``supernet_epochs`` of None are five times the epochs of the recipe: 500 for the papers' 100.
    ``population`` to ``max_params`` belong to the second, the search. A subnet has at most ``max_params`` parameters.
    """

    supernet_epochs: Annotated[int | None, at_least(1), at_most(100_000)] = None
    supernet_lr: Annotated[float, positive] = 5e-4
    population: Annotated[int, at_least(1), at_most(10_000)] = 50
    parents: Annotated[int, at_least(1)] = 10
    mutants: Annotated[int, at_most(10_000)] = 25
    crossovers: Annotated[int, at_most(10_000)] = 25
    rounds: Annotated[int, at_most(10_000)] = 15
    max_params: Annotated[int, at_least(1), at_most(10**9)] = 555_000


class Supernet(Method):
    """The stages of a method that searches. A subclass says what a subnet is.

    The search is an evolution on the validation split. Before ``fit`` the method is the supernet at its largest. After
    it this is the winner and holds no other weight.
    """

    Config: ClassVar[type[base.Config]] = SupernetConfig
    inherits: bool = False  # the winner keeps the weights of the supernet; else it starts from the first weights

    def __init__(self, backbone: Backbone, config: SupernetConfig) -> None:
        super().__init__(backbone, config)
        self._drawing, self._story = False, dict[str, Any]()

    @property
    @abstractmethod
    def space(self) -> list[Gene]:
        """What a subnet is drawn from."""

    @abstractmethod
    def activate(self, genes: Genes) -> None:
        """Use the weights that the genes name. The others stay but are not used."""

    @abstractmethod
    def slim(self, genes: Genes) -> None:
        """Drop every weight that the genes do not use."""

    @abstractmethod
    def count(self, genes: Genes) -> int:
        """The number of parameters of a subnet."""

    @abstractmethod
    def architecture(self, genes: Genes) -> dict[str, list[int]]:
        """A subnet as rows of numbers, for the record."""

    @abstractmethod
    def genes_of(self, architecture: Mapping[str, list[int]]) -> Genes:
        """The inverse of ``architecture``, up to genes that change nothing."""

    def loss(self, model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, criterion: Criterion) -> Tensor:
        """Cross-entropy. While the supernet trains, each step draws a subnet."""
        if self._drawing:
            self.activate(search.draw(self.space, lambda choices: int(torch.randint(choices, ()))))
        return criterion(model(x), y)

    def epochs(self, epochs: int) -> float:
        """Epochs of supernet, search and winner.

        Scoring a subnet costs a fifteenth of an epoch: a forward pass (a third of a step) over the held-out fifth.
        """
        config: Any = self.config
        judged = config.population + config.rounds * (config.mutants + config.crossovers)
        return float(self._supernet_epochs(epochs) + judged / 15 + epochs)

    def fit(self, trainer: Trainer) -> None:
        """Train the supernet, search it on the validation split, start again, and train the winner."""
        weights = self._train_supernet(trainer)
        best = self._search(trainer)
        trainer.restart()
        if self.inherits:
            trainer.model.load_state_dict(weights, strict=False)
        self.slim(best)
        super().fit(trainer)

    def report(self, trainer: Trainer) -> dict[str, Any]:
        """The subnet that the search found, and what the search cost."""
        return super().report(trainer) | self._story

    def settle(self, report: Mapping[str, Any]) -> str:
        """Wire the subnet that the search found. It must be one that the search may draw."""
        config: Any = self.config
        told: Any = report.get("architecture")
        shape = self.architecture(tuple(gene.values[0] for gene in self.space))
        fits = isinstance(told, dict) and {name: _length(row) for name, row in told.items()} == {
            name: len(row) for name, row in shape.items()
        }
        genes = self.genes_of(told) if fits else ()
        drawn = fits and all(value in gene.values for value, gene in zip(genes, self.space, strict=True))
        check(drawn and self.architecture(genes) == told, "report.architecture is no subnet of these options")
        count = self.count(genes)
        check(count <= config.max_params, f"report.architecture has {count:,} parameters, over max_params")
        self.slim(genes)
        return ""

    def _supernet_epochs(self, epochs: int) -> int:
        """Epochs of the supernet, for a recipe of ``epochs``."""
        config: Any = self.config
        return int(config.supernet_epochs or 5 * epochs)

    def _train_supernet(self, trainer: Trainer) -> dict[str, Tensor]:
        """Train the supernet, or load it if an earlier execution of this run has trained it; returns its weights."""
        config: Any = self.config
        kept = trainer.kept("supernet")
        if kept is None:
            self._drawing = True
            epochs = self._supernet_epochs(trainer.recipe.epochs)
            stage = trainer.stage("supernet", epochs=epochs, lr=config.supernet_lr, split="train")
            self._drawing = False
            kept = (trainer.model.trained_state(), {"supernet": stage})
            trainer.keep("supernet", *kept)
        state, values = kept
        trainer.model.load_state_dict(state, strict=False)
        self._story |= values
        return state

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
        self._story |= {
            "architecture": self.architecture(best),
            "search": evolution.summary() | {"val_accuracy": evolution.scores[best], "params": self.count(best)},
        }
        return best


def _length(row: object) -> int | None:
    """The length of a list of whole numbers; None for anything else."""
    return len(row) if isinstance(row, list) and all(type(value) is int for value in row) else None
