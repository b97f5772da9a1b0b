"""python -m benchmarks.run: from the command line to run records, a leaderboard and a Pareto plot."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.cli import add_data_root, console, guarded, progress
from benchmarks.files.root import use_data_root

if TYPE_CHECKING:
    import torch
    from rich.progress import TaskID

    from benchmarks.spec import Spec
    from benchmarks.sweep import Sweep
    from benchmarks.train import Epoch


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description="Train methods on tasks, keep one record a run, and draw the leaderboard and the Pareto plot. "
        "Runs that have a record are skipped; repeat a command to continue it.",
    )
    p.add_argument("--methods", nargs="+", metavar="NAME", help="methods to compare, or 'all' (default: adapterx lora)")
    p.add_argument("--suite", metavar="NAME", help="suite of tasks (default: offline)")
    p.add_argument("--tasks", nargs="+", metavar="NAME", help="tasks of the suite (default: every one)")
    add_data_root(p)
    p.add_argument("--backbone", nargs="+", metavar="NAME", help="backbone of a modality, NAME or NAME@FILE")
    p.add_argument("--seeds", nargs="+", type=int, metavar="N", help="seeds (default: 0)")
    p.add_argument(
        "--set", nargs="+", default=[], metavar="METHOD.OPTION=VALUE", help="as in lora.rank=16; [4,8] sweeps"
    )
    p.add_argument("--recipe", nargs="+", default=[], metavar="FIELD=VALUE", help="as in epochs=20; [10,20] sweeps")
    p.add_argument("--config", type=Path, metavar="FILE", help="a YAML file with the fields above; options here win")
    p.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N (default: auto)")
    p.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto", help="of the matrix products")
    p.add_argument("--workers", type=int, metavar="N", help="runs side by side (default: up to 4 on a CPU, 1 on a GPU)")
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument("--force", action="store_true", help="run again what has a record")
    p.add_argument("--fail-fast", action="store_true", help="stop at the first run that fails")
    p.add_argument("--dry-run", action="store_true", help="show the runs, their parameters and the estimated time")
    p.add_argument("--list", action="store_true", help="show methods, suites, tasks and backbones")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 if all runs have a record, 1 if any failed, 2 for a user's mistake."""
    args = parser().parse_args(argv)
    import torch

    from benchmarks import overview, plan, store, sweep

    use_data_root(args.data_root)
    if args.list:
        return overview.show_list()
    device = _device(args.device)
    specs = sweep.specs(_sweep(args), _dtype(args.dtype, device), absent=args.dry_run)
    if not specs:
        raise ValueError("nothing to run: none of these methods works on the tasks asked for")
    workers = _workers(args.workers, device, len(specs))  # not of those left, on which no number may depend
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    if args.dry_run:
        return plan.show(specs, args.results, device, workers)
    store.prepare(args.results)
    todo = [spec for spec in specs if args.force or not store.finished(args.results, spec)]
    _decode(todo)
    failed = _execute(todo, args.results, device, workers=workers, fail_fast=args.fail_fast)
    _report(specs, todo, failed, args.results)
    return 1 if failed else 0


def _sweep(args: argparse.Namespace) -> Sweep:
    from benchmarks import sweep

    asked = sweep.from_file(args.config) if args.config else sweep.Sweep()
    given = {
        n: getattr(args, n) for n in ("methods", "suite", "tasks", "backbone", "seeds") if getattr(args, n) is not None
    }
    options = sweep.method_options(sweep.assignments(args.set, "--set"))
    given["set"] = {m: sweep.joined(asked.set.get(m, {}), options.get(m, {})) for m in [*asked.set, *options]}
    given["recipe"] = {**asked.recipe, **sweep.assignments(args.recipe, "--recipe")}
    return sweep.merged(asked, given, "command line")


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"unknown device '{name}'; known: auto, cpu, cuda, cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device '{name}' is not supported; known: auto, cpu, cuda, cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device '{name}' is not there: {torch.cuda.device_count()} CUDA devices found; use --device cpu"
        )
    return device


def _dtype(name: str, device: torch.device) -> Any:
    from benchmarks.train import auto_dtype

    return str(auto_dtype(device)).removeprefix("torch.") if name == "auto" else name


def _workers(asked: int | None, device: torch.device, runs: int) -> int:
    from benchmarks import workers

    if asked is not None and asked < 1:
        raise ValueError(f"--workers {asked} must be at least 1")
    return min(asked or workers.default(device, runs), max(runs, 1))


def _decode(todo: Sequence[Spec]) -> None:
    """Have suites decode their files before any run, so that damage is told first and no run waits for another's."""
    from benchmarks import suites

    loads = {name: suites.get(name).load for name in {spec.suite for spec in todo}}
    for suite, task, size in dict.fromkeys((spec.suite, spec.task, spec.backbone.image_size) for spec in todo):
        for split in ("train", "val", "test"):
            loads[suite](task, split, size=size)


def _execute(
    todo: Sequence[Spec], results: Path, device: torch.device, *, workers: int, fail_fast: bool
) -> dict[Spec, str]:
    from benchmarks.executors import in_process
    from benchmarks.workers import side_by_side

    busy = min(workers, len(todo))
    with progress() as bar:
        runs = bar.add_task("runs", total=len(todo))
        shown: dict[Spec, TaskID] = {}

        def on_epoch(spec: Spec, epoch: Epoch) -> None:
            if spec not in shown:
                shown[spec] = bar.add_task(str(spec))
            bar.update(
                shown[spec],
                description=f"{spec}: {epoch['stage']}",
                completed=epoch["epoch"],
                total=epoch["epochs"],
            )

        def on_end(spec: Spec) -> None:
            bar.advance(runs)
            if spec in shown:
                bar.remove_task(shown.pop(spec))

        execute = partial(side_by_side, workers=busy) if busy > 1 else in_process
        return execute(todo, results, device, fail_fast=fail_fast, on_epoch=on_epoch, on_end=on_end)


def _report(specs: Sequence[Spec], todo: Sequence[Spec], failed: dict[Spec, str], results: Path) -> None:
    from benchmarks import leaderboard, pareto, store, tables

    out = console()
    done = [spec for spec in specs if store.record_path(results, spec).exists()]
    if done:
        frame, histories = store.load_with_histories(results)
        for table in tables.tables(frame[frame["key"].isin({spec.key for spec in done})]):
            out.print(leaderboard.to_rich(table))
        made = tables.tables(frame)
        written = [*leaderboard.save(frame, made, histories, results), *pareto.write(frame, results / "figures")]
        out.print("written: " + ", ".join(str(path) for path in written), soft_wrap=True)
    out.print(f"records: {results / store.RUNS}, task files: {results / store.ADAPTERS}", soft_wrap=True)
    trained = len([spec for spec in todo if spec in set(done)])
    out.print(f"{len(specs)} runs: {trained} trained, {len(specs) - len(todo)} already finished, {len(failed)} failed")
    for spec, reason in failed.items():
        out.print(f"failed: {spec}: {reason}", style="red", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main(None))
