"""In which order runs are begun: the longest first, so that no worker is left with a long one at the end."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.records import store
from benchmarks.records.spec import Recipe

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec

Kind = tuple[str, str, Recipe]  # what the time of a run depends on most: method, weights of the backbone, recipe


def longest_first(specs: Sequence[Spec], results: Path) -> list[Spec]:
    """By the recorded training seconds of runs of their kind; those of unknown kinds before all others.

    Runs that take equally long keep their order.
    """
    seconds = recorded_seconds(store.each(results))
    return sorted(specs, key=lambda spec: seconds.get(kind(spec), float("inf")), reverse=True)


def recorded_seconds(records: Iterable[dict[str, Any]]) -> dict[Kind, float]:
    """The median training time of each kind of run that there are records of."""
    times: dict[Kind, list[float]] = defaultdict(list)
    for record in records:
        spec = record["spec"]
        known = (spec["method"], spec["backbone"]["sha256"], Recipe(**spec["recipe"]))
        times[known].append(record["cost"]["train_seconds"])
    return {known: statistics.median(seconds) for known, seconds in times.items()}


def kind(spec: Spec) -> Kind:
    return spec.method, spec.backbone.sha256, spec.recipe
