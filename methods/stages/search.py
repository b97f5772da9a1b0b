"""The evolution of subnets (arXiv:2206.04673). A method says which genes a subnet has and how good it is.

The genes of a subnet are one tuple of numbers. What a number means is the method's own.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from methods.errors import UserError

Genes: TypeAlias = tuple[int, ...]
TRIES = 10_000  # draws for one legal subnet; if none is legal, the budget is too small


@dataclass(frozen=True)
class Gene:
    """The values to choose from, and the probability that a mutant draws the gene again."""

    values: tuple[int, ...]
    redraw: float


def draw(space: Sequence[Gene], below: Callable[[int], int]) -> Genes:
    """Draw any subnet; ``below(n)`` draws a number from 0 to n - 1."""
    return tuple(gene.values[below(len(gene.values))] for gene in space)


class Evolution:
    """Makes one generation per ``step``: first a random population, then mutants and crossovers of the best so far.

    ``sizes``: population, parents, mutants, crossovers. Every generation has its own random numbers, so a resumed
    search draws what an uninterrupted one draws. Of two subnets with equal scores the smaller one is better.
    """

    def __init__(
        self,
        space: Sequence[Gene],
        *,
        fitness: Callable[[Genes], float],
        legal: Callable[[Genes], bool],
        size: Callable[[Genes], int],
        sizes: tuple[int, int, int, int],
        seed: int,
    ) -> None:
        self.space, self.fitness, self.legal, self.size = space, fitness, legal, size
        self.sizes, self.seed = sizes, seed
        self.generation, self.seconds = 0, 0.0
        self.scores: dict[Genes, float] = {}
        self.history: list[float] = []

    def step(self) -> None:
        """Draw a generation and score its new subnets.

        Raises:
            UserError: the budget is too small for any subnet that was drawn.
        """
        start, rng = time.perf_counter(), random.Random(f"{self.seed} {self.generation}")
        population, parents, mutants, crossovers = self.sizes
        if self.generation == 0:
            drawn = [self._legal(lambda: draw(self.space, rng.randrange)) for _ in range(population)]
        else:
            top = self.ranked()[:parents]
            drawn = [self._legal(lambda: self._mutant(rng.choice(top), rng)) for _ in range(mutants)]
            drawn += [self._legal(lambda: _crossover(rng.choice(top), rng.choice(top), rng)) for _ in range(crossovers)]
        for genes in dict.fromkeys(drawn):
            if genes not in self.scores:
                self.scores[genes] = self.fitness(genes)
        self.generation += 1
        self.history.append(self.scores[self.best()])
        self.seconds += time.perf_counter() - start

    def ranked(self) -> list[Genes]:
        """All subnets that were scored, the best first."""
        return sorted(self.scores, key=lambda genes: (-self.scores[genes], self.size(genes)))

    def best(self) -> Genes:
        """The best subnet so far."""
        return self.ranked()[0]

    def state(self) -> dict[str, Any]:
        """The state of the search in JSON values, for ``resume``."""
        scores = [[list(genes), score] for genes, score in self.scores.items()]
        return {"generation": self.generation, "seconds": self.seconds, "scores": scores, "history": self.history}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from what ``state`` returned."""
        self.generation, self.seconds = state["generation"], state["seconds"]
        self.history = list(state["history"])
        self.scores = {tuple(genes): score for genes, score in state["scores"]}

    def summary(self) -> dict[str, Any]:
        """What the search cost, and the best score after each generation."""
        return {"seconds": self.seconds, "subnets": len(self.scores), "best_by_generation": self.history}

    def _mutant(self, parent: Genes, rng: random.Random) -> Genes:
        pairs = zip(parent, self.space, strict=True)
        return tuple(rng.choice(gene.values) if rng.random() < gene.redraw else value for value, gene in pairs)

    def _legal(self, drawn: Callable[[], Genes]) -> Genes:
        for _ in range(TRIES):
            genes = drawn()
            if self.legal(genes):
                return genes
        raise UserError(f"no legal subnet in {TRIES:,} draws; give a larger max_params")


def _crossover(first: Genes, second: Genes, rng: random.Random) -> Genes:
    return tuple(rng.choice(pair) for pair in zip(first, second, strict=True))
