"""python -m benchmarks.tune: search the options of methods on the validation split, with equal budgets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import add_highlight, add_results, command_parser, console, guarded, next_step, progress, say
from benchmarks.files.root import use_data_root
from benchmarks.sweeps import arguments, options
from benchmarks.tracking.address import add_tracking, address
from methods.errors import check

if TYPE_CHECKING:
    import torch

    from benchmarks.records.spec import Spec
    from benchmarks.sweeps.sweep import Dtypes, Sweep
    from benchmarks.tuning.databases import StudyDatabase
    from benchmarks.tuning.space import Search

JUDGED = {"train_split": "train", "checkpoint_rule": "last"}
TRIALS, MOST_TRIALS, DAY_SECONDS = 20, 10_000, 86_400
EXAMPLES = {
    "tune two methods on one task, 20 trials each": "--methods lora adapterx --tasks digits --trials 20 --results try",
    "try three learning rates, and nothing else": "--methods lora --set lora.lr=[0.001,0.003,0.01] --results try",
    "tune from several machines at once: run the same command on each": "--methods all --trials 20 "
    "--storage postgresql://HOST/tuning",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "tune",
        "Search the learning rate, the weight decay and the options of methods with Optuna. There is one study per "
        "method and task, and every study has the same number of trials. A trial trains on the training split and is "
        "judged on the validation split. Where options are lists, a study tries these values alone. Run the same "
        "command again to resume. Several processes or machines that share one --storage share the work.",
        EXAMPLES,
    )
    what, how, where, record = options.groups(p)
    options.add_sweep(what, how)
    what.add_argument("--trials", type=int, metavar="N", help=f"finished trials per study (default: {TRIALS})")
    what.add_argument("--seed", type=int, default=0, metavar="N", help="seed of sampler and training (default: 0)")
    old = "continue studies that other code of a method began (default: make new ones)"
    what.add_argument("--keep-outdated", action="store_true", help=old)
    options.add_dtype(how)
    options.add_device(where)
    options.add_workers(where, "trials")
    grace = "a trial without a heartbeat for this long counts as dead and is run again (default: 60)"
    where.add_argument("--grace-seconds", type=int, default=60, metavar="N", help=grace)
    record.add_argument("--storage", metavar="URL", help="SQL database (default: SQLite, tuning.db in --results)")
    add_results(record, "folder for configurations and figures")
    add_highlight(record)
    add_tracking(record)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Finish every study and write the best configurations. Returns 1 if a study failed, 2 for a person's mistake."""
    args = parser().parse_args(argv)
    use_data_root(args.data_root)
    tracked = address(args.tracking)
    asked = arguments.sweep(args)  # before torch is imported: a wrong name is told at once
    import torch

    from benchmarks import suites
    from benchmarks.records import store
    from benchmarks.records.spec import SEEDS
    from benchmarks.tracking.experiment import check_not_deleted
    from benchmarks.tuning import outdated
    from benchmarks.tuning.databases import StudyDatabase, file_url, make_file

    arguments.check_range(args, trials=(1, MOST_TRIALS), seed=(0, SEEDS - 1), grace_seconds=(4, DAY_SECONDS))
    device = arguments.device(args.device)
    searches = plan(asked, arguments.dtype(args.dtype, device), seed=args.seed, trials=args.trials)
    if tracked:
        check_not_deleted(tracked, f"{searches[0].base.suite} tuning")
    store.prepare(args.results)
    own = args.results / "tuning.db"
    if not args.storage:
        make_file(own)
    url = args.storage or file_url(own)
    workers = arguments.workers(args.workers, device, sum(search.trials for search in searches))
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    database = StudyDatabase(url=url, grace_seconds=args.grace_seconds)
    bases = [search.base for search in searches]
    data = [(base.suite, base.task, base.seed, base.backbone.frame) for base in bases]
    suites.decode(data, tests=False)
    with database.watched():
        searches = outdated.told(searches, database, keep=args.keep_outdated)
        broken = _search(searches, database, device, workers)
        broken += _report(searches, database, args.results, args.highlight)
        if tracked:
            _track(tracked, searches, database, args.results)
    for line in broken:
        console().print(f"failed: {line}", style="red", soft_wrap=True)
    if not broken:
        next_step("python -m benchmarks.run --tuned", *_same(args, asked.seeds))
    return 1 if broken else 0


def plan(asked: Sweep, dtype: Dtypes, *, seed: int, trials: int | None) -> list[Search]:
    """Return one search per method and task. Options that are lists are the only ones that its trials try.

    Raises:
        UserError: a name is unknown, the checkpoint rule is not "last", a field of the recipe is a list, or lists of
            options give some studies more trials than others, or another number than ``trials``.
    """
    from benchmarks.sweeps import sweep
    from benchmarks.tuning import space

    judged = "a trial is judged on validation after its last epoch; leave the rule out"
    for recipe in (asked.recipe, *asked.recipes.values()):
        rule = recipe.get("checkpoint_rule", "last")
        check(rule == "last", f"checkpoint_rule={rule}: {judged}")
    specs = sweep.specs(sweep.with_recipe(replace(asked, seeds=(seed,)), JUDGED), dtype)
    cells: dict[tuple[str, str], list[Spec]] = {}
    for spec in specs:
        cells.setdefault((spec.method, spec.task), []).append(spec)
    check(bool(cells), "nothing to tune: none of these methods works on the tasks asked for")
    recipes = [len({spec.recipe for spec in found}) for found in cells.values()]
    check(max(recipes) == 1, "several recipes, but a study has one; give values, not lists")
    sizes = {len(found): f"{method} on {task}" for (method, task), found in cells.items()}
    told = ", ".join(f"{size} for {cell}" for size, cell in sorted(sizes.items()))
    check(len(sizes) == 1, f"studies of several sizes: {told}; options that are lists say how many trials a study has")
    (size,) = sizes
    if size > 1:
        check(trials in (None, size), f"--trials {trials}, but lists of options make {size} trials; leave it out")
    return [
        space.Search(
            base=found[0],
            fixed=space.fixed(asked.set.get(method, {}), found),
            trials=size if size > 1 else trials or TRIALS,
            grid=tuple(spec.config for spec in found) if size > 1 else (),
        )
        for (method, _), found in cells.items()
    ]


def _search(searches: Sequence[Search], database: StudyDatabase, device: torch.device, workers: int) -> list[str]:
    """Run trials until every study has all of its trials. Returns one line per study that failed."""
    from benchmarks.tuning import processes, studies
    from benchmarks.tuning.log import Log

    with progress() as bar:
        left = {search: studies.unfinished(search, database) for search in searches}
        total = sum(search.trials for search in searches)
        shown = bar.add_task("trials", total=total, completed=total - sum(left.values()))
        log = None if sys.stdout and sys.stdout.isatty() else Log(console(), left, database)

        def on_trial(search: Search) -> None:
            left[search] = studies.unfinished(search, database)
            bar.update(shown, completed=total - sum(left.values()))
            if log:
                log.tell(search)

        todo = [search for search in searches if left[search]]
        if workers > 1 and todo:
            broken = processes.side_by_side(todo, database, device, workers, on_trial)
        else:
            broken = processes.in_process(todo, database, device, on_trial)
    return [f"{search}: {reason}" for search, reason in broken.items()]


def _track(uri: str, searches: Sequence[Search], database: StudyDatabase, results: Path) -> None:
    """Copy the finished trials to MLflow."""
    from benchmarks.tracking import tuning
    from benchmarks.tuning import studies

    sent = tuning.upload(uri, results, [studies.copied(search, database) for search in searches])
    say(f"{sent} trials uploaded: {uri}")


def _report(searches: Sequence[Search], database: StudyDatabase, results: Path, highlight: str) -> list[str]:
    """Write the best configuration of every finished study and a sheet of all, and show a table of them.

    Returns one line per study that has none, because no trial ran to its end.
    """
    from rich.table import Table

    from benchmarks.figures import study as picture
    from benchmarks.tuning import space, studies, tuned

    table = Table("method", "task", "trials", "pruned", "default on val", "best on val", "best configuration")
    drawn: dict[str, dict[tuple[str, str], Any]] = {}
    without: list[str] = []
    defaults = {(search.base.method, search.base.task): space.default_slot(search) for search in searches}
    for search in searches:
        states, trial = studies.counts(search, database), studies.best(search, database)
        if studies.unfinished(search, database):
            continue
        if trial is None:
            without.append(f"{search}: every trial diverged or was pruned; try other options")
            continue
        tuned.write(results / tuned.CONFIGS, search, trial, dict(states))
        cell = search.base.method, search.base.task
        drawn.setdefault(search.base.suite, {})[cell] = studies.study(search, database)
        chosen = ", ".join(f"{k} {v:.2g}" if isinstance(v, float) else f"{k} {v}" for k, v in trial.params.items())
        values = (studies.default_value(search, database), trial.value)
        absent = "pruned" if defaults[cell] >= 0 else "not tried"
        percents = [absent if value is None else f"{100 * value:.1f}" for value in values]
        table.add_row(
            search.base.method, search.base.task, str(search.trials), str(states["pruned"]), *percents, chosen
        )
    for suite, found in drawn.items():
        picture.write(found, suite, searches[0].trials, results / "figures" / "tuning", highlight, defaults)
    if drawn:
        out = console()
        out.print(table)
        out.print(f"written: {results / tuned.CONFIGS}, {results / 'figures' / 'tuning'}", soft_wrap=True)
    return without


def _same(args: argparse.Namespace, seeds: Sequence[int]) -> list[str]:
    """Return the arguments with which ``run`` trains what was tuned: with the seeds of the file, or with three."""
    words = [] if len(seeds) > 1 else ["--seeds", "0", "1", "2"]
    for name in ("methods", "suite", "tasks", "backbone", "data_root", "config", "recipe", "results"):
        value = getattr(args, name)
        if value:
            words += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, list) else [value])]
    words += [] if args.dtype == "auto" else ["--dtype", args.dtype]
    return words + ["--compile"] * args.compile


if __name__ == "__main__":
    sys.exit(main())
