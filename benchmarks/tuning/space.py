"""What the trials of a study try: draws from the method's search space, or sets of options that are given."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import optuna

from benchmarks.records.spec import Spec
from methods.base import Config

if TYPE_CHECKING:
    from benchmarks.tuning.studies import Search


def suggested(search: Search, trial: optuna.trial.BaseTrial) -> Spec:
    """Return the run of a trial: the options that the method suggests, except those that the user fixed."""
    base = search.base
    if search.grid:
        for name, values in _varied(search.grid).items():
            trial.suggest_categorical(name, list(dict.fromkeys(values)))
        return replace(base, config=search.grid[trial.user_attrs["slot"]])
    config = type(base.config).suggest(trial)  # type: ignore[arg-type]
    return replace(base, config=replace(config, **{name: getattr(base.config, name) for name in search.fixed}))


def queued(search: Search, slot: int) -> dict[str, Any]:
    """The options of a trial that are decided before it starts, by their names in Optuna.

    Without a grid these are the defaults of the first trial, so that the best is never worse than it on validation.
    """
    if search.grid:
        return {name: values[slot] for name, values in _varied(search.grid).items()}
    return defaults(search) if slot == 0 else {}


def default_slot(search: Search) -> int:
    """The number of the trial with the method's default configuration; -1 if a grid lacks it."""
    default = type(search.base.config)()
    return 0 if not search.grid else search.grid.index(default) if default in search.grid else -1


def defaults(search: Search) -> dict[str, Any]:
    """Return the method's default values of the searched options, except those outside the search space."""
    probe = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    type(search.base.config).suggest(probe)
    values = {name: getattr(search.base.config, name, None) for name in probe.distributions}
    return {name: value for name, value in values.items() if _allowed(probe.distributions[name], value)}


def _allowed(distribution: optuna.distributions.BaseDistribution, value: Any) -> bool:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return value in distribution.choices
    assert isinstance(distribution, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution)
    return value is not None and distribution.low <= value <= distribution.high


def _varied(grid: tuple[Config, ...]) -> dict[str, list[Any]]:
    """The options in which the configurations differ, with the value of each, as Optuna shows it."""
    rows = [asdict(config) for config in grid]
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {
        name: [value if isinstance(value, bool | int | float | str) else str(value) for value in values]
        for name, values in columns.items()
        if any(value != values[0] for value in values)
    }
