"""The methods that are compared, and the run that each starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import methods
from benchmarks import suites
from benchmarks.advice import usual
from benchmarks.sweeps import sweep, wiring
from benchmarks.tuning import space
from methods.errors import check
from methods.modality import Modality

if TYPE_CHECKING:
    from benchmarks.records.spec import Spec
    from benchmarks.sweeps.sweep import Dtypes, Sweep

FEWEST_STEPS = 8  # per epoch, so that few samples are more than one or two steps


def searches(asked: Sweep, dtype: Dtypes, *, only_usual: bool) -> list[space.Search]:
    """One search per method of a sweep. If these are ``only_usual`` ones, those that do not fit are left out.

    Where the recipe says nothing of the batch size, few samples are trained in smaller batches.

    Raises:
        UserError: a name is unknown, there is not exactly one task, an option is a list, or a method does not fit.
    """
    asked = replace(asked, seeds=(0,))
    for_all = {name: value for name, value in asked.recipe.items() if not name.startswith("pace")}  # linear has none
    first = replace(asked, methods=("linear",), set={}, recipes={}, recipe=for_all)
    (plain,) = _of_one_task(sweep.specs(first, dtype))
    if "batch_size" not in asked.recipe:
        task = suites.get(plain.suite).tasks[plain.task]
        size = min(plain.recipe.batch_size, max(FEWEST_STEPS, (task.train + task.val) // FEWEST_STEPS))
        asked = replace(asked, recipe={**asked.recipe, "batch_size": size})  # a method's own recipe stays before it
    names = _fitting(plain.backbone.name, plain.backbone.modality) if only_usual else asked.methods
    asked = sweep.of_methods(asked, names)
    specs = sweep.specs(asked, dtype)
    double = {spec.method for spec in specs if [s.method for s in specs].count(spec.method) > 1}
    check(not double, f"several sets of options for {', '.join(sorted(double))}; give values, not lists")
    check(len(specs) > 1, "one method is no choice; give two or more with --methods")
    rules = {spec.recipe.checkpoint_rule for spec in specs}
    check(rules == {"last"}, f"checkpoint_rule={rules}: methods are judged after the last epoch; leave the rule out")
    return [
        space.Search(base=spec, fixed=space.fixed(asked.set.get(spec.method, {}), [spec]), trials=1) for spec in specs
    ]


def _of_one_task(specs: Sequence[Spec]) -> Sequence[Spec]:
    tasks = list(dict.fromkeys(spec.task for spec in specs))
    some = f"{', '.join(tasks[:5])}{' ...' if len(tasks) > 5 else ''}"
    check(
        len(tasks) == 1, f"a method is recommended for one task, and there are {len(tasks)}: {some}; give --tasks NAME"
    )
    check(len(specs) == 1, "recipe: give values, not lists")
    return specs


def _fitting(backbone: str, kind: Modality) -> list[str]:
    """The usual methods that can act on a backbone."""
    return [name for name in usual.METHODS[kind] if not wiring.misfit(backbone, name, methods.get(name).Config())]
