"""python -m benchmarks.run: train methods on tasks, keep one record per run, write the leaderboard and the plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import (
    add_costs,
    add_highlight,
    add_results,
    command_parser,
    console,
    guarded,
    next_step,
    progress,
    warn,
)
from benchmarks.files.root import use_data_root
from benchmarks.sweeps import arguments, options
from benchmarks.tracking.address import add_tracking
from methods.errors import check

if TYPE_CHECKING:
    import torch

    from benchmarks.executors.attempt import Outcome
    from benchmarks.executors.place import Place
    from benchmarks.records.spec import Epoch, Spec
    from benchmarks.sweeps.sweep import Sweep
    from benchmarks.tracking.sink import Sink

CHOSEN = Path()  # what --tuned is without a DIR
EXAMPLES = {
    "compare Adapter-X with LoRA on one small task, in a folder of its own": "--methods adapterx lora --tasks digits "
    "--results try",
    "run every method with three seeds, four runs side by side": "--methods all --seeds 0 1 2 --workers 4",
    "show the runs of a sweep over LoRA's rank and the time they need": "--methods lora --set 'lora.rank=[4,8,16]' "
    "--dry-run",
    "run the sweep of a file on a Slurm cluster": "--config sweep.yaml --executor slurm --resources partition=gpu",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "run",
        "Train methods on tasks. Writes one record per run, a leaderboard and a Pareto plot. Run the same command "
        "again to resume: finished runs are skipped, even after a crash.",
        EXAMPLES,
    )
    what, how, where, record = options.groups(p)
    options.add_sweep(what, how)
    what.add_argument("--seeds", nargs="+", type=int, metavar="N", help="one run per seed (default: 0)")
    instead = what.add_mutually_exclusive_group()
    instead.add_argument("--force", action="store_true", help="train again and replace records that exist")
    instead.add_argument(
        "--dry-run", action="store_true", help="show the runs, their parameters and the time they need"
    )
    rate = "with --dry-run: runs will train on a device this many times as fast as this one; `speed` measures both"
    what.add_argument("--rate", type=float, metavar="FACTOR", help=rate)
    instead.add_argument("--list", action="store_true", help="show all methods, suites, tasks and backbones")
    old = "count the records that other code of a method made as finished (default: train these runs again)"
    what.add_argument("--keep-outdated", action="store_true", help=old)
    tuned = "use the configurations that benchmarks.tune found; DIR holds them (default: configs in --results)"
    how.add_argument("--tuned", nargs="?", type=Path, const=CHOSEN, metavar="DIR", help=tuned)
    options.add_dtype(how)
    options.add_device(where)
    options.add_workers(where, "runs")
    options.add_executor(where)
    where.add_argument("--fail-fast", action="store_true", help="stop when a run fails (default: train the others)")
    add_results(record, "folder for records, task files, tables and figures")
    add_tracking(record)
    add_costs(record)
    add_highlight(record)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Train the runs. Returns 0 if all have a record, 1 if any failed, 2 for a person's mistake."""
    args = parser().parse_args(argv)
    use_data_root(args.data_root)
    check(args.rate is None or args.dry_run, "--rate is for estimates: add --dry-run, or leave --rate out")
    check(args.rate is None or args.rate > 0, f"--rate {args.rate} must be positive")
    asked = arguments.sweep(args)  # before torch is imported: a wrong name is told at once
    import torch

    from benchmarks import suites
    from benchmarks.records import store
    from benchmarks.suites import groups
    from benchmarks.sweeps import outdated
    from benchmarks.tracking.address import address
    from benchmarks.tracking.experiment import check_not_deleted
    from benchmarks.tracking.sink import Sink

    uri = address(args.tracking)
    if args.list:
        from benchmarks.sweeps import listing

        return listing.show_list()
    specs = _specs(args, asked, arguments.place(args, runs=1).device)
    check(bool(specs), "nothing to run: none of these methods works on the tasks asked for")
    place = arguments.place(args, len(specs))  # not len(todo): threads, and so numbers, must not depend on what is left
    if place.executor == "local":
        torch.set_num_threads(max(1, torch.get_num_threads() // (place.workers or 1)))
    check(not (args.force and args.keep_outdated), "--force contradicts --keep-outdated; leave one of them out")
    if not args.force:
        specs = outdated.told(specs, args.results, keep=args.keep_outdated)
    if args.dry_run:
        from benchmarks.sweeps import plan

        return plan.show(specs, args.results, place, args.rate or 1.0)
    store.prepare(args.results)
    groups.keep(suites.get(asked.suite), args.results / store.RUNS / specs[0].suite)
    todo = [spec for spec in specs if args.force or not store.finished(args.results, spec)]
    if uri and todo:
        check_not_deleted(uri, todo[0].suite)
    data = [(spec.suite, spec.task, spec.seed, spec.backbone.frame) for spec in todo]
    suites.decode(data, tests=True)
    with Sink(uri, args.results, todo, warn=warn) as sink:
        outcome = _execute(todo, args.results, place, again=args.force, fail_fast=args.fail_fast, sink=sink)
        _report(specs, todo, outcome, args)
    if uri and sink.uploaded:
        console().print(f"in MLflow: {sink.uploaded} runs, experiment {todo[0].suite}, {uri}", soft_wrap=True)
    return 1 if outcome.failed else 0


def _specs(args: argparse.Namespace, asked: Sweep, device: torch.device) -> list[Spec]:
    from benchmarks.sweeps import sweep
    from benchmarks.tuning import tuned

    specs = sweep.specs(asked, arguments.dtype(args.dtype, device), absent=args.dry_run)
    if args.tuned is None:
        return specs
    chosen = tuned.apply(specs, args.results / tuned.CONFIGS if args.tuned is CHOSEN else args.tuned)
    for method, given in asked.set.items():
        names = {name for one in (given if isinstance(given, Sequence) else [given]) for name in one}
        tuned.check_asked(method, sorted(names), specs, chosen)
    return chosen


def _execute(todo: Sequence[Spec], results: Path, place: Place, *, again: bool, fail_fast: bool, sink: Sink) -> Outcome:
    from benchmarks.executors import driver
    from benchmarks.executors.display import Display, Log, outcome
    from benchmarks.executors.place import Listeners

    with progress() as bar:
        display, log = Display(bar, len(todo)), Log(console(), len(todo))
        logged = not (sys.stdout and sys.stdout.isatty())

        def on_epoch(spec: Spec, epoch: Epoch) -> None:
            sink.epoch(spec, epoch)
            display.epoch(spec, epoch)

        def on_other(spec: Spec) -> None:
            display.end(spec)
            if logged:
                log.end(str(spec), outcome(results, spec))

        def on_end(spec: Spec) -> None:
            sink.end(spec)
            on_other(spec)

        # runs of another driver are not sent to the sink: that driver tracks them
        listeners = Listeners(on_epoch=on_epoch, on_end=on_end, on_wait=display.epoch, on_other=on_other)
        return driver.complete(todo, results, place, listeners, again=again, fail_fast=fail_fast)


def _report(specs: Sequence[Spec], todo: Sequence[Spec], outcome: Outcome, args: argparse.Namespace) -> None:
    from benchmarks.records import shared, store
    from benchmarks.sweeps import report
    from benchmarks.tables import screen
    from benchmarks.tables.leaderboard import tables
    from benchmarks.tables.reader import asked, load

    out, results = console(), args.results
    done = [spec for spec in specs if store.finished(results, spec)]
    for spec in done:
        shared.note(results, store.read(store.record_path(results, spec)), spec.tuning)
    if done:
        frame = load(results, shared=True)
        screen.show(out, tables(asked(frame, done)), costs=args.costs)
        written = report.save(frame, results, highlight=args.highlight)
        out.print("written: " + ", ".join(str(path) for path in written), soft_wrap=True)
    out.print(f"records: {results / store.RUNS}, task files: {results / store.ADAPTERS}", soft_wrap=True)
    trained = len(set(todo) & set(done) - set(outcome.failed) - set(outcome.others))
    others = f"{len(outcome.others)} by another driver, " if outcome.others else ""
    ended = f"{len(specs) - len(todo)} already finished, {others}{len(outcome.failed)} failed"
    out.print(f"{len(specs)} runs: {trained} trained, {ended}")
    for spec, reason in outcome.failed.items():
        line = f"failed: {spec}: {reason} (traceback: {store.trace_path(results, spec)})"
        out.print(line, style="red", soft_wrap=True)
    if outcome.failed:
        next_step("correct that and run the same command again")
    else:
        next_step("open", results / "leaderboard.html")
        next_step("list the keys of runs for predict and export: python -m benchmarks.runs --results", results)


if __name__ == "__main__":
    sys.exit(main())
