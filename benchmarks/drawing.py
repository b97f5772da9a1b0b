"""The figures of a leaderboard; of very many runs in a second process, while the first writes all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pareto, ranks, second

if TYPE_CHECKING:
    import pandas as pd


NEEDED = ("matplotlib.pyplot", "scipy.stats")  # to draw: slow to import, so in the meantime


def begin(groups: Sequence[pd.DataFrame], out: Path) -> Callable[[], list[Path]]:
    """Begin to draw the figures of runs by what may be compared; what is returned ends it and gives their paths."""
    many = sum(map(len, groups)) >= second.MANY
    if many:
        for name in NEEDED:
            second.process().submit(import_module, name)
    asked = pareto.panels(groups), ranks.panels(groups), out
    return second.process().submit(draw, *asked).result if many else partial(draw, *asked)


def draw(plots: Sequence[pareto.Panel], diagrams: Sequence[ranks.Panel], out: Path) -> list[Path]:
    """Write both figures into ``out``; returns their paths."""
    return [*pareto.draw(plots, out), *ranks.draw(diagrams, out)]
