"""python -m benchmarks.speed: time the steps of methods and of this harness against the frozen floor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import Parser, command_parser, console, guarded, next_step
from benchmarks.sweeps import arguments
from benchmarks.sweeps.options import add_dtype
from methods.errors import check, check_known

if TYPE_CHECKING:
    from benchmarks.timing.steps import Case, Setting
    from benchmarks.timing.turns import Timing

WHAT = ("methods", "harness", "together")
NOT_OF_A_REPORT = {"methods", "set", "backbone", "batch_size", "side_by_side", "peaks"}
BACKBONE = "vit_base_patch16_224"
TABLES, RECORDS = Path("results/speed"), Path("results/performance")
HELP = {
    "report": "measure the named parts, or all parts, of benchmarks/timing/README.md and write that page. Parts: "
    "images (every method on ViT-B/16), points (every method on Point-MAE's transformer), memory, sampling, folding, "
    "optimizers, harness, probe, evaluation, compilation and, on a CPU, bars",
    "clock": "wall: elapsed time (default); cpu: processor time of this process, for a machine with other work. With "
    "cpu set OMP_NUM_THREADS=1, because threads that wait for each other count too",
}
EXAMPLES = {
    "time two methods against the frozen floor": "--methods lora adapterx",
    "find out what a side network saves": "--methods lora dtl --peaks",
    "find out after how many steps compilation pays off": "--methods lora --compile --device cuda",
    "find out how many runs of one method fill this machine": "together --methods lora --side-by-side 1 2 4",
}


def parser() -> Parser:
    """Return the parser of this verb."""
    p = command_parser(
        "speed",
        "Time training steps. methods: each method and hf:lora against the frozen floor; harness: the trainer against "
        "a bare PyTorch loop; together: several processes side by side. Weights are random. Steps take turns, and "
        "ratios are medians, so that other work on the machine changes little.",
        EXAMPLES,
    )
    what = p.add_argument_group("what to measure")
    what.add_argument("what", nargs="?", choices=WHAT, default="methods", help="see above (default: methods)")
    names = ["lora", "adapterx"]
    what.add_argument("--methods", nargs="+", default=names, metavar="NAME", help="methods (default: lora adapterx)")
    options = "options, such as adaptformer.hidden=8"
    what.add_argument("--set", nargs="+", default=[], metavar="METHOD.OPTION=VALUE", help=options)
    what.add_argument("--backbone", default=BACKBONE, metavar="NAME", help=f"backbone (default: {BACKBONE})")
    what.add_argument("--batch-size", type=int, default=8, metavar="N", help="samples per step (default: 8)")
    what.add_argument("--compile", action="store_true", help="time each method compiled as well")
    peaks = "also measure the peak memory of two steps of each method, in a process of its own"
    what.add_argument("--peaks", action="store_true", help=peaks)
    processes = "numbers of processes for together (default: 1 2 4)"
    what.add_argument("--side-by-side", type=int, nargs="+", default=[1, 2, 4], metavar="N", help=processes)
    what.add_argument("--report", nargs="*", metavar="PART", help=HELP["report"])
    how = p.add_argument_group("how to measure")
    how.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds after a warm-up round (default: 7)")
    how.add_argument("--clock", choices=("wall", "cpu"), default="wall", help=HELP["clock"])
    add_dtype(how)
    where = p.add_argument_group("where to run")
    auto = "`auto` uses CUDA if there is a GPU (default)"
    where.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help=auto)
    write = p.add_argument_group("what to write")
    folder = f"folder (default: {TABLES}, with --report {RECORDS})"
    write.add_argument("-o", "--out", type=Path, metavar="DIR", help=folder)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show a table and write it. Returns 2 for a person's mistake."""
    p = parser()
    args = p.parse_args(argv)
    arguments.check_range(args, repeats=(1, 10_000), side_by_side=(1, 64), batch_size=(2, 65_536))
    ignored = sorted(p.given & NOT_OF_A_REPORT) if args.report is not None else []
    check(not ignored, f"--report has settings of its own: leave out --{', --'.join(ignored).replace('_', '-')}")
    import methods

    for name in args.methods if args.methods != ["all"] else ():
        methods.check_name(name)  # before torch is imported: a wrong name is told at once
    import torch

    from benchmarks.backbones.names import parse
    from benchmarks.timing import measured
    from benchmarks.timing.steps import Setting
    from benchmarks.training import memory
    from benchmarks.training.precision import auto_dtype

    device = arguments.device(args.device)
    dtype = auto_dtype(device, args.backbone) if args.dtype == "auto" else getattr(torch, args.dtype)
    if args.report is not None:
        return _report(args.report, args.out or RECORDS, measured.report(device, dtype, args.repeats, args.clock))
    setting = Setting(backbone=args.backbone, batch_size=args.batch_size, device=device, dtype=dtype)
    try:
        timing = _timing(args, setting)
    except (RuntimeError, MemoryError) as error:
        check(not memory.ran_out(error), f"--batch-size {args.batch_size}: {memory.told(error)}; give a smaller one")
        raise
    backbone = parse(args.backbone).plain.replace("/", "-").replace(":", "-")
    _keep(timing, args.out or TABLES, f"{timing.setting['what']}-{backbone}-{device.type}")
    return 0


def _timing(args: argparse.Namespace, setting: Setting) -> Timing:
    from benchmarks.timing import measured

    if args.what == "harness":
        return measured.probe("harness", setting, args.repeats, args.clock)
    if args.what == "together":
        case = _cases(args.methods[:1], args.set, args.backbone)[-1]
        return measured.side_by_side(case, setting, args.side_by_side, args.repeats)
    timed = measured.compilation if args.compile else measured.memory if args.peaks else measured.methods
    return timed(_cases(args.methods, args.set, args.backbone), setting, args.repeats, args.clock)


def _cases(names: Sequence[str], assignments: Sequence[str], backbone: str) -> list[Case]:
    """Return ``hf:lora``, if Hugging Face PEFT is installed, and the named methods, each with its options."""
    import methods
    from benchmarks.sweeps import sweep, wiring
    from benchmarks.timing.steps import PEER, Case

    asked = list(methods.table()) if list(names) == ["all"] else list(dict.fromkeys(names))
    options = sweep.method_options(sweep.assignments(assignments, "--set"))
    for name in options:
        check(name in asked, f"options set for '{name}', which is not among the methods: {', '.join(asked)}")
    for name in asked:
        reason = wiring.misfit(backbone, name, methods.config(name, options.get(name, {})))
        check(not reason, str(reason))  # before anything is timed
    peer = [PEER] if PEER not in asked and methods.known(PEER) else []
    return [Case(method=name, options=options.get(name, {})) for name in [*peer, *asked]]


def _keep(timing: Timing, folder: Path, name: str) -> None:
    """Show the table of a timing. Write the table and the times that it is made from."""
    from rich.table import Table

    from benchmarks.files.writing import write_atomic
    from benchmarks.timing import page

    out, (headers, rows) = console(), page.ratios(timing)
    shown = Table(*headers)
    for row in rows:
        shown.add_row(*row)
    out.print(shown)
    out.print(page.where(timing), soft_wrap=True)
    times, text = (folder / f"{name}{ending}" for ending in (".json", ".md"))
    timing.write(times)
    write_atomic(text, page.section(timing))
    out.print(f"written: {times}, {text}", soft_wrap=True)
    next_step("open", text)


def _report(names: Sequence[str], folder: Path, parts: Mapping[str, Callable[[], Timing]]) -> int:
    """Measure some or all parts of the page, write their times, and write the page from all times in ``folder``."""
    from benchmarks.timing import page

    for name in names:
        check_known("part", name, parts, "--report: ")
    out = console()
    for name in names or parts:
        timing = parts[name]()
        path = folder / f"{name}-{timing.setting['device']}.json"
        timing.write(path)
        out.print(f"written: {path}", soft_wrap=True)
    written = page.update(page.kept(folder))
    out.print(f"written: {written}", soft_wrap=True)
    next_step("open", written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
