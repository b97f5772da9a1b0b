"""python -m benchmarks.run: from the command line to run records, a leaderboard and a Pareto plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import console, guarded, progress, warn
from benchmarks.files.root import use_data_root
from benchmarks.sweeps import arguments
from benchmarks.sweeps.arguments import add_device, add_sweep
from benchmarks.tables.leaderboard import tables
from benchmarks.tracking.address import add_tracking
from methods.errors import UserError

if TYPE_CHECKING:
    import torch

    from benchmarks.executors.attempt import Outcome
    from benchmarks.executors.place import Place
    from benchmarks.records.spec import Spec
    from benchmarks.tracking.sink import Sink
    from benchmarks.training.train import Epoch


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Train methods on tasks, keep one record a run, and draw the leaderboard and the Pareto plot. "
        "Runs that have a record are skipped; repeat a command to continue it.",
    )
    add_sweep(p)
    p.add_argument("--seeds", nargs="+", type=int, metavar="N", help="seeds (default: 0)")
    add_device(p)
    arguments.add_executor(p)
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument(
        "--tuned",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="DIR",
        help="with the configurations that benchmarks.tune found (default: the folder configs of the results)",
    )
    add_tracking(p)
    p.add_argument("--force", action="store_true", help="run again what has a record")
    p.add_argument("--fail-fast", action="store_true", help="stop at the first run that fails")
    p.add_argument("--dry-run", action="store_true", help="show the runs, their parameters and the estimated time")
    p.add_argument("--list", action="store_true", help="show methods, suites, tasks and backbones")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 if all runs have a record, 1 if any failed, 2 for a person's mistake."""
    args = parser().parse_args(argv)
    import torch

    from benchmarks import suites
    from benchmarks.records import store
    from benchmarks.sweeps import listing, plan
    from benchmarks.tracking.address import address, shown
    from benchmarks.tracking.sink import Sink

    use_data_root(args.data_root)
    uri = address(args.tracking)
    if args.list:
        return listing.show_list()
    specs = _specs(args, arguments.place(args, runs=1).device)
    if not specs:
        raise UserError("nothing to run: none of these methods works on the tasks asked for")
    place = arguments.place(args, len(specs))  # not of those left, on which no number may depend
    if place.executor == "local":
        torch.set_num_threads(max(1, torch.get_num_threads() // (place.workers or 1)))
    if args.dry_run:
        return plan.show(specs, args.results, place)
    store.prepare(args.results)
    todo = [spec for spec in specs if args.force or not store.finished(args.results, spec)]
    asked = [(spec.suite, spec.task, spec.backbone.image_size) for spec in todo]
    suites.decode(asked, splits=("train", "val", "test"))
    with Sink(uri, args.results, todo, warn=warn) as sink:
        outcome = _execute(todo, args.results, place, again=args.force, fail_fast=args.fail_fast, sink=sink)
        _report(specs, todo, outcome, args.results)
    if uri and sink.uploaded:
        console().print(f"in MLflow: {sink.uploaded} runs, experiment {todo[0].suite}, {shown(uri)}", soft_wrap=True)
    return 1 if outcome.failed else 0


def _specs(args: argparse.Namespace, device: torch.device) -> list[Spec]:
    from benchmarks.sweeps import sweep
    from benchmarks.tuning import tuned

    asked = arguments.sweep(args)
    specs = sweep.specs(asked, arguments.dtype(args.dtype, device), absent=args.dry_run)
    if args.tuned is None:
        return specs
    if asked.set:
        raise UserError(f"--tuned takes every option from a study: leave out those set for {', '.join(asked.set)}")
    return tuned.apply(specs, args.results / tuned.CONFIGS if args.tuned == Path() else args.tuned)


def _execute(todo: Sequence[Spec], results: Path, place: Place, *, again: bool, fail_fast: bool, sink: Sink) -> Outcome:
    from benchmarks.executors import driver
    from benchmarks.executors.display import Display
    from benchmarks.executors.place import Listeners

    with progress() as bar:
        display = Display(bar, len(todo))

        def on_epoch(spec: Spec, epoch: Epoch) -> None:
            sink.epoch(spec, epoch)
            display.epoch(spec, epoch)

        def on_end(spec: Spec) -> None:
            sink.end(spec)
            display.end(spec)

        # what another driver does it tracks itself
        listeners = Listeners(on_epoch=on_epoch, on_end=on_end, on_wait=display.epoch, on_other=display.end)
        return driver.complete(todo, results, place, listeners, again=again, fail_fast=fail_fast)


def _report(specs: Sequence[Spec], todo: Sequence[Spec], outcome: Outcome, results: Path) -> None:
    from benchmarks import leaderboard
    from benchmarks.records import store
    from benchmarks.tables.formats import to_rich
    from benchmarks.tables.reader import load

    out = console()
    done = [spec for spec in specs if store.record_path(results, spec).exists()]
    if done:
        frame = load(results)
        for table in tables(frame[frame["key"].isin({spec.key for spec in done})]):
            out.print(to_rich(table))
        written = leaderboard.save(frame, results)
        out.print("written: " + ", ".join(str(path) for path in written), soft_wrap=True)
    out.print(f"records: {results / store.RUNS}, task files: {results / store.ADAPTERS}", soft_wrap=True)
    trained = len(set(todo) & set(done) - set(outcome.failed) - set(outcome.others))
    others = f"{len(outcome.others)} by another driver, " if outcome.others else ""
    ended = f"{len(specs) - len(todo)} already finished, {others}{len(outcome.failed)} failed"
    out.print(f"{len(specs)} runs: {trained} trained, {ended}")
    for spec, reason in outcome.failed.items():
        trace = store.trace_path(results, spec)
        out.print(f"failed: {spec}: {reason} (traceback: {trace})", style="red", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
