"""A study to do, and what its trials try: draws from the method's search space, or sets of options that are given."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import optuna

from benchmarks.records.spec import Spec
from methods.base import Config

Options = Mapping[str, Any]
CODE = "#"  # before the code in a study's name


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study to do: the run whose options the trials vary, the options that stay fixed, and the number of trials.

    Attributes:
        code: the digest of the method's code, if an earlier study is of other code.
        grid: the configurations to try, one by each trial; empty to draw them from the method's search space.
    """

    base: Spec
    fixed: tuple[str, ...]
    trials: int
    code: str = ""
    grid: tuple[Config, ...] = ()

    @property
    def name(self) -> str:
        """The study's name: suite, method, task, a digest of what no trial changes, and the options that are given."""
        given = "".join(f"+{name}" for name in sorted({*self.fixed, *_varied(self.grid)}))
        if self.grid:
            given += "=" + hashlib.sha256(repr(self.grid).encode()).hexdigest()[:8]
        code = f"{CODE}{self.code}" if self.code else ""
        return f"{self.base.suite}/{self.base.method}/{self.base.task}/{self.base.key[:8]}{given}{code}"

    def __str__(self) -> str:
        return f"{self.base.method} on {self.base.task}"


def fixed(given: Options | Sequence[Options], specs: Sequence[Spec]) -> tuple[str, ...]:
    """The names of the options that a person gives for a method and that have one value in all runs of its study."""
    names = {name for options in (given if isinstance(given, Sequence) else [given]) for name in options}
    return tuple(sorted(name for name in names if len({repr(getattr(spec.config, name)) for spec in specs}) == 1))


class Widened:
    """A trial whose ranges hold the defaults of a method, too.

    If a method's choices lack the default, it becomes one more choice. A default may also lie outside a range of
    numbers, such as a weight decay of zero on a logarithmic scale. The first trial then takes it without asking Optuna,
    which is not asked for the options that a person ``fixed`` either.
    """

    def __init__(self, trial: optuna.trial.BaseTrial, search: Search, *, first: bool) -> None:
        self._trial, self._default, self._fixed, self._first = trial, search.base.config, search.fixed, first

    def suggest_float(self, name: str, low: float, high: float, **settings: Any) -> float:
        own: Any = getattr(self._default, name, low)
        return own if self._unasked(name, own, low, high) else self._trial.suggest_float(name, low, high, **settings)

    def suggest_int(self, name: str, low: int, high: int, **settings: Any) -> int:
        own: Any = getattr(self._default, name, low)
        return own if self._unasked(name, own, low, high) else self._trial.suggest_int(name, low, high, **settings)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        own = getattr(self._default, name, choices[0])
        if name in self._fixed:
            return own
        return self._trial.suggest_categorical(name, choices if own in choices else [*choices, own])

    def _unasked(self, name: str, own: float | None, low: float, high: float) -> bool:
        return name in self._fixed or (self._first and (own is None or not low <= own <= high))


def suggested(search: Search, trial: optuna.trial.BaseTrial, *, first: bool) -> Spec:
    """Return the run of a trial: the options that the method suggests, except those that the user fixed.

    Without a grid, the ``first`` trial of a study is that of the defaults, if it has the options of ``queued``.
    """
    base = search.base
    if search.grid:
        for name, values in _varied(search.grid).items():
            trial.suggest_categorical(name, list(dict.fromkeys(values)))
        return replace(base, config=search.grid[trial.user_attrs["slot"]])
    config = type(base.config).suggest(Widened(trial, search, first=first))  # type: ignore[arg-type]
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
    if not search.grid:
        return 0
    default = type(search.base.config)()
    return search.grid.index(default) if default in search.grid else -1


def defaults(search: Search) -> dict[str, Any]:
    """Return the method's default values of the searched options, by their names in Optuna."""
    probe, default = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask(), search.base.config
    type(default).suggest(Widened(probe, search, first=True))  # type: ignore[arg-type]
    return {name: getattr(default, name) for name in probe.distributions if hasattr(default, name)}


def _varied(grid: tuple[Config, ...]) -> dict[str, list[Any]]:
    """The options in which the configurations differ, with the value of each, as Optuna shows it."""
    rows = [asdict(config) for config in grid]
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return {
        name: [value if isinstance(value, bool | int | float | str) else str(value) for value in values]
        for name, values in columns.items()
        if any(value != values[0] for value in values)
    }
