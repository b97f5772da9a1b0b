"""The figures of a leaderboard; of very many runs in a second process, while the first writes all else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pareto, ranks, second

if TYPE_CHECKING:
    import pandas as pd


BACKENDS = ("matplotlib.backends.backend_pdf", "matplotlib.backends.backend_svg")
NEEDED = ("pandas", "scipy.stats", "matplotlib.pyplot", *BACKENDS)  # to draw, and slow to import


def begin(groups: Sequence[pd.DataFrame], out: Path) -> Callable[[], list[Path]]:
    """Begin to draw the figures of runs by what may be compared; what is returned ends it and gives their paths."""
    return second.begin(sum(map(len, groups)), draw, pareto.panels(groups), ranks.panels(groups), out)


def draw(plots: Sequence[pareto.Panel], diagrams: Sequence[ranks.Panel], out: Path) -> list[Path]:
    """Write both figures into ``out``; returns their paths."""
    return [*pareto.draw(plots, out), *ranks.draw(diagrams, out)]
