"""The figures of a leaderboard; of very many runs in a second process, while the first writes all else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import pareto, ranks
from benchmarks.tables import reader

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def begun(groups: Sequence[pd.DataFrame], out: Path) -> Iterator[Callable[[], list[Path]]]:
    """Yields what ends the drawing of the figures of runs by what may be compared, and returns their paths."""
    asked = pareto.panels(groups), ranks.panels(groups), out
    if sum(map(len, groups)) < reader.MANY:
        yield partial(draw, *asked)
    else:
        with ProcessPoolExecutor(1, get_context("spawn")) as second:
            yield second.submit(draw, *asked).result


def draw(plots: Sequence[pareto.Panel], diagrams: Sequence[ranks.Panel], out: Path) -> list[Path]:
    """Write both figures into ``out``; returns their paths."""
    return [*pareto.draw(plots, out), *ranks.draw(diagrams, out)]
