"""The order of runs: the longest first, so that no worker starts a long run when the others are done."""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.backbones import Source
from benchmarks.records import store
from benchmarks.records.spec import Recipe, Spec

Kind = tuple[str, str, str, Recipe]  # method, its options, identity of the backbone, recipe: they decide the time
FREE = ("lr", "weight_decay")  # options that change no time


def longest_first(specs: Sequence[Spec], results: Path) -> list[Spec]:
    """Sort runs by the recorded training time of their kind, the longest first.

    A run of a kind without records comes before all others. Runs that take equally long keep their order.
    """
    seconds = recorded_seconds(store.each(results))
    return sorted(specs, key=lambda spec: seconds.get(kind(spec), float("inf")), reverse=True)


def recorded_seconds(records: Iterable[dict[str, Any]]) -> dict[Kind, float]:
    """Return the median training time in seconds of each kind of run that has records."""
    times: dict[Kind, list[float]] = defaultdict(list)
    for record in records:
        times[kind_of(record["spec"])].append(record["cost"]["train_seconds"])
    return {known: statistics.median(seconds) for known, seconds in times.items()}


def take(waiting: list[Spec], seconds: Mapping[Kind, float], deaths: Mapping[Spec, int]) -> Spec:
    """Remove and return the run that should start next.

    A run of a kind that is not in ``seconds`` comes first, then the longest kind. Runs whose process died come last.
    """
    order = {spec: (-deaths.get(spec, 0), seconds.get(kind(spec), float("inf"))) for spec in waiting}
    spec = max(order, key=order.__getitem__)
    waiting.remove(spec)
    return spec


def kind(spec: Spec) -> Kind:
    return spec.method, _options(spec.to_json()["config"]), spec.backbone.identity, spec.recipe


def kind_of(spec: Mapping[str, Any]) -> Kind:
    """The kind of a run by the spec of its record."""
    identity = Source(**spec["backbone"]).identity
    return spec["method"], _options(spec["config"]), identity, Recipe(**spec["recipe"])


def _options(config: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in config.items() if name not in FREE}, sort_keys=True)
