"""What fits together: methods, tasks, backbones and weights. What does not is refused before the first run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import TYPE_CHECKING

import methods
from benchmarks import backbones, suites
from benchmarks.cli import warn
from benchmarks.records.spec import Recipe
from benchmarks.sweeps import wiring
from methods.errors import check
from methods.modality import Modality

if TYPE_CHECKING:
    from methods.base import Config

PLURAL: Mapping[Modality, str] = {"image": "images", "points": "point clouds"}


def chosen(names: Sequence[str], suite: suites.Suite, kinds: Set[Modality]) -> dict[Modality, str]:
    """The backbone of each modality of the tasks: the one that was asked for, or the suite's own."""
    asked: dict[Modality, str] = {}
    for name in dict.fromkeys(names):
        kind = backbones.modality(name)
        have = f"but the tasks asked for have {' and '.join(PLURAL[kind] for kind in sorted(kinds))}; leave it out"
        check(kind in kinds, f"backbone '{name}' takes {PLURAL[kind]}, {have}")
        check(kind not in asked, f"two backbones for {PLURAL[kind]}: {asked.get(kind)} and {name}; give one of them")
        wiring.bare(name)  # refuses an unknown name
        asked[kind] = name
    return {kind: asked.get(kind, suite.backbones[kind]) for kind in sorted(kinds)}


def check_modality(name: str, suite: suites.Suite, tasks: Sequence[str]) -> None:
    """Refuse a method that was asked for by name if it works on none of the tasks."""
    allowed = methods.get(name).modalities
    kinds = {suite.tasks[task].modality for task in tasks}
    fitting = [task.name for task in suite.tasks.values() if task.modality in allowed]
    check(
        not kinds.isdisjoint(allowed),
        f"method '{name}' works only on {' and '.join(sorted(allowed))}, but the tasks asked for ({', '.join(tasks)}) "
        f"have {' and '.join(sorted(kinds))}; its tasks in suite {suite.name}: {', '.join(fitting) or 'none'}",
    )


def with_few_points(suite: suites.Suite, tasks: Sequence[str], names: Mapping[Modality, str]) -> list[str]:
    """One line per task whose clouds have fewer points than the backbone of this name groups."""
    lines = []
    for task in (suite.tasks[name] for name in tasks if suite.tasks[name].points):
        backbone = names[task.modality]
        if task.points < (needed := backbones.fewest_points(backbone)):
            few = f"the clouds of {suite.name}/{task.name} have {task.points} points"
            lines.append(f"{few}, but {backbone} needs {needed} or more; use another --backbone")
    return lines


def check_kind(task: suites.Task, name: str, config: Config, recipe: Recipe) -> None:
    """Refuse options and fields of a recipe that would change nothing on a task of this kind."""
    single = f"recipe: masked=true is for tasks with several test sets, but task '{task.name}' has one; leave it out"
    check(len(task.tests) > 1 or not recipe.masked, single)
    for option in methods.get(name).pooled_options if task.kind.per_point else ():
        given, default = getattr(config, option), methods.defaults(name)[option]
        cure = f"leave it at {default}"
        pooled = f"{option}={given} chooses what a head of pooled features sees; the head of '{task.name}' sees patches"
        check(given == default, f"{name}: {pooled}, so {cure}")


def check_pace(name: str, config: Config, source: backbones.Source, recipe: Recipe) -> None:
    """Refuse PACE for a method that adds nothing to features, on which its noise acts."""
    check(
        recipe.pace == "none" or wiring.adds(source.name, name, config),
        f"recipe: pace={recipe.pace} puts noise on a method's adapters, and '{name}' has none; leave '{name}' out, or "
        "use pace=none",
    )


def check_weights(sources: Iterable[backbones.Source], names: Sequence[str]) -> None:
    """Refuse weights that are missing or cannot be loaded, unless all methods start from random weights.

    What was resampled to fit is told.
    """
    for source in sources:
        needing = [n for n in names if methods.get(n).pretrained and source.modality in methods.get(n).modalities]
        check(
            source.sha256 != backbones.RANDOM or not needing,
            f"backbone '{source.name}' comes without pretrained weights, which {', '.join(needing[:3])} need; give a "
            f"local file with --backbone {source.name}@FILE",
        )
        if needing and source.sha256 not in (backbones.RANDOM, backbones.ABSENT):
            for change in backbones.resampled(source.name, source.sha256):
                warn(f"backbone '{source.name}': {change}")


def wired(name: str, configs: Sequence[Config], source: backbones.Source, *, by_name: bool) -> list[Config]:
    """The configurations of a method that can act on a backbone: none if the backbone is of another modality.

    A method that cannot be wired onto the backbone is refused if it was asked for ``by_name``, else it is left out.
    """
    if source.modality not in methods.get(name).modalities:
        return []
    why = {config: wiring.misfit(source.name, name, config) for config in configs}
    for reason in filter(None, why.values()):
        check(not by_name, reason)
        warn(f"method '{name}' is left out: {reason}")
    return [config for config, reason in why.items() if reason is None]
