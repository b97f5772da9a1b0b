"""The figures of a leaderboard; of very many runs in a second process, while the first writes all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pareto, ranks, reader
from benchmarks.beside import beside

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def begun(groups: Sequence[pd.DataFrame], out: Path) -> Iterator[Callable[[], list[Path]]]:
    """Yields what ends the drawing of the figures of runs by what may be compared, and returns their paths."""
    asked = pareto.panels(groups), ranks.panels(groups), out
    if sum(map(len, groups)) < reader.MANY:
        yield partial(draw, *asked)
    else:
        with beside(draw, *asked) as drawn:
            yield drawn


def draw(plots: Sequence[pareto.Panel], diagrams: Sequence[ranks.Panel], out: Path) -> list[Path]:
    """Write both figures into ``out``; returns their paths."""
    return [*pareto.draw(plots, out), *ranks.draw(diagrams, out)]
