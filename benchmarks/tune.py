"""python -m benchmarks.tune: search the options of methods on the validation split, with equal trials for each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import console, guarded, progress
from benchmarks.files.root import use_data_root
from benchmarks.sweeps import arguments
from methods.errors import UserError

if TYPE_CHECKING:
    import torch

    from benchmarks.records.spec import Spec
    from benchmarks.sweeps.sweep import Dtypes, Sweep
    from benchmarks.tuning.databases import StudyDatabase
    from benchmarks.tuning.studies import Search

JUDGED = {"train_split": "train", "checkpoint_rule": "last"}


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.tune",
        description="Search learning rate, weight decay and each method's own options with Optuna: one study for each "
        "method and task, as many trials for each, trained on the training split and judged on validation. Repeat a "
        "command to continue it; give several processes or machines one storage to share it.",
    )
    arguments.add_sweep(p)
    p.add_argument("--trials", type=int, default=20, metavar="N", help="finished trials of each study (default: 20)")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="of the sampler and of training (default: 0)")
    p.add_argument("--storage", metavar="URL", help="an SQL database (default: sqlite, tuning.db in the results)")
    p.add_argument(
        "--grace-seconds",
        type=int,
        default=60,
        metavar="N",
        help="without a sign of life, after which a trial counts as dead and is run again (default: 60)",
    )
    arguments.add_device(p)
    p.add_argument("--workers", type=int, metavar="N", help="trials side by side (default: as in benchmarks.run)")
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Bring every study to its trials and write the best configurations; 1 if any could not, 2 for a user's mistake."""
    args = parser().parse_args(argv)
    for name, least in (("trials", 1), ("seed", 0), ("grace_seconds", 4)):
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(args, name)} must be at least {least}")
    import torch

    from benchmarks import suites
    from benchmarks.records import store
    from benchmarks.tuning.databases import StudyDatabase

    use_data_root(args.data_root)
    device = arguments.device(args.device)
    asked = arguments.sweep(args)
    searches = plan(asked, arguments.dtype(args.dtype, device), seed=args.seed, trials=args.trials)
    store.prepare(args.results)
    url = args.storage or f"sqlite:///{args.results / 'tuning.db'}"
    workers = arguments.workers(args.workers, device, args.trials * len(searches))
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    database = StudyDatabase(url=url, grace_seconds=args.grace_seconds)
    bases = [search.base for search in searches]
    suites.decode([(base.suite, base.task, base.backbone.image_size) for base in bases], splits=("train", "val"))
    with database.watched():
        broken = _search(searches, database, device, workers)
        _report(searches, database, args.results)
    for line in broken:
        console().print(f"failed: {line}", style="red", markup=False, soft_wrap=True)
    return 1 if broken else 0


def plan(asked: Sweep, dtype: Dtypes, *, seed: int, trials: int) -> list[Search]:
    """A search for each method and task.

    Raises:
        UserError: an unknown name, a rule that looks at the test split, or an option given as a list.
    """
    from benchmarks.sweeps import sweep
    from benchmarks.tuning.studies import Search

    rule = asked.recipe.get("checkpoint_rule", "last")
    if rule != "last":
        raise UserError(f"checkpoint_rule={rule}: a trial is judged by its last epoch on validation; leave it out")
    specs = sweep.specs(replace(asked, seeds=(seed,), recipe={**asked.recipe, **JUDGED}), dtype)
    names = [(spec.method, spec.task) for spec in specs]
    double = sorted({f"{method} on {task}" for method, task in names if names.count((method, task)) > 1})
    if double:
        raise UserError(f"several sets of options for {', '.join(double[:3])}: a study has one; give no list")
    if not specs:
        raise UserError("nothing to tune: none of these methods works on the tasks asked for")
    return [Search(base=spec, fixed=_fixed(asked, spec), trials=trials) for spec in specs]


def _fixed(asked: Sweep, spec: Spec) -> tuple[str, ...]:
    options = asked.set.get(spec.method, {})
    return tuple(sorted(options if not isinstance(options, Sequence) else options[0]))


def _search(searches: Sequence[Search], database: StudyDatabase, device: torch.device, workers: int) -> list[str]:
    """Run trials until no study lacks any; returns what could not be done, a line each."""
    from benchmarks.tuning import processes, studies

    with progress() as bar:
        left = {search: studies.unfinished(search, database) for search in searches}
        total = sum(search.trials for search in searches)
        shown = bar.add_task("trials", total=total, completed=total - sum(left.values()))

        def on_trial(search: Search) -> None:
            left[search] = studies.unfinished(search, database)
            bar.update(shown, completed=total - sum(left.values()))

        todo = [search for search in searches if left[search]]
        if workers > 1 and todo:
            broken = processes.side_by_side(todo, database, device, workers, on_trial)
        else:
            broken = processes.in_process(todo, database, device, on_trial)
    return [f"{search}: {reason}" for search, reason in broken.items()]


def _report(searches: Sequence[Search], database: StudyDatabase, results: Path) -> None:
    """Write the best configuration and the pictures of every finished study, and show them in a table."""
    from rich.table import Table

    from benchmarks.figures import study as picture
    from benchmarks.tuning import studies, tuned

    table = Table("method", "task", "trials", "pruned", "default on val", "best on val", "best configuration")
    for search in searches:
        states, trial = studies.counts(search, database), studies.best(search, database)
        if studies.unfinished(search, database) or trial is None:
            continue
        tuned.write(results / tuned.CONFIGS, search, trial, dict(states))
        stem = tuned.path(results / "figures" / "tuning", search.base).with_suffix("")
        picture.write(studies.study(search, database), str(search), search.trials, stem)
        chosen = ", ".join(f"{k} {v:.2g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
        values = [_percent(value) for value in (studies.default_value(search, database), trial.value)]
        table.add_row(search.base.method, search.base.task, str(search.trials), str(states["pruned"]), *values, chosen)
    out = console()
    out.print(table)
    written = f"{results / tuned.CONFIGS}, {results / 'figures' / 'tuning'}"
    out.print(f"written: {written}; use the configurations with python -m benchmarks.run --tuned", soft_wrap=True)


def _percent(value: float | None) -> str:
    return "pruned" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
