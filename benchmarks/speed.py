"""python -m benchmarks.speed: what a method and this harness cost against the floor, interleaved in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import console, guarded
from benchmarks.sweeps.arguments import add_dtype
from methods.errors import UserError

if TYPE_CHECKING:
    import torch

    from benchmarks.timing.steps import Case
    from benchmarks.timing.turns import Timing

WHAT = ("methods", "harness", "together")
TABLES, RECORDS = Path("results/speed"), Path("results/performance")


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Time training steps of methods against the frozen floor and hf:lora, or the trainer against a "
        "bare PyTorch loop, or several processes together. Steps take turns, weights are random; ratios are medians.",
    )
    p.add_argument("what", nargs="?", choices=WHAT, default="methods", help="default: methods")
    p.add_argument(
        "--side-by-side",
        type=int,
        nargs="+",
        default=[1, 2, 4],
        metavar="N",
        help="of together: processes (default: 1 2 4)",
    )
    p.add_argument("--methods", nargs="+", default=["lora", "adapterx"], metavar="NAME", help="default: lora adapterx")
    p.add_argument("--set", nargs="+", default=[], metavar="METHOD.OPTION=VALUE", help="as in adaptformer.hidden=8")
    p.add_argument("--backbone", default="vit_base_patch16_224", metavar="NAME", help="default: vit_base_patch16_224")
    p.add_argument("--batch-size", type=int, default=8, metavar="N", help="samples a step (default: 8)")
    p.add_argument("--repeats", type=int, default=7, metavar="N", help="rounds after one to warm up (default: 7)")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default: CUDA where there is one")
    add_dtype(p)
    p.add_argument(
        "--compile", action="store_true", help="each method compiled as well, and after how many steps it pays"
    )
    p.add_argument(
        "--clock",
        choices=("wall", "cpu"),
        default="wall",
        help="cpu: the time that this process computes, for a machine with other work; give it OMP_NUM_THREADS=1, as "
        "threads that wait for each other count too",
    )
    p.add_argument(
        "--report",
        nargs="*",
        metavar="PART",
        help="measure every method on a ViT-B/16 (images) and on Point-MAE's transformer (points), and sampling, "
        "folding, optimizers, harness, probe, evaluation, compilation and (on a CPU) bars; or those parts alone; write "
        "benchmarks/timing/README.md",
    )
    p.add_argument("-o", "--out", type=Path, metavar="DIR", help=f"default: {TABLES}, of --report {RECORDS}")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Measure, show a table and write it; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    if min(args.repeats, *args.side_by_side) < 1 or args.batch_size < 2:
        raise UserError("--repeats and --side-by-side must be at least 1, and --batch-size at least 2")
    import torch

    from benchmarks.timing import measured
    from benchmarks.timing.steps import Setting
    from benchmarks.training.precision import auto_dtype

    device = _device(args.device)
    dtype = auto_dtype(device, args.backbone) if args.dtype == "auto" else getattr(torch, args.dtype)
    if args.report is not None:
        return _report(args.report, args.out or RECORDS, measured.report(device, dtype, args.repeats, args.clock))
    setting = Setting(backbone=args.backbone, batch_size=args.batch_size, device=device, dtype=dtype)
    if args.what == "harness":
        timing = measured.harness(setting, args.repeats, args.clock)
    elif args.what == "together":
        case = _cases(args.methods[:1], args.set)[-1]
        timing = measured.side_by_side(case, setting, args.side_by_side, args.repeats)
    else:
        timed = measured.compilation if args.compile else measured.methods
        timing = timed(_cases(args.methods, args.set), setting, args.repeats, args.clock)
    _keep(timing, args.out or TABLES, f"{timing.setting['what']}-{args.backbone.partition('@')[0]}-{device.type}")
    return 0


def _device(name: str) -> torch.device:
    import torch

    here = torch.cuda.is_available()
    if name == "cuda" and not here:
        raise UserError("device 'cuda' is not there: 0 CUDA devices found; use --device cpu")
    return torch.device("cuda" if name != "cpu" and here else "cpu")


def _cases(names: Sequence[str], assignments: Sequence[str]) -> list[Case]:
    """The peer, where Hugging Face PEFT is installed, and the methods asked for, each with its options."""
    import methods
    from benchmarks.sweeps import sweep
    from benchmarks.timing.steps import PEER, Case

    asked = list(methods.table()) if list(names) == ["all"] else list(dict.fromkeys(names))
    options = sweep.method_options(sweep.assignments(assignments, "--set"))
    for name in options:
        if name not in asked:
            raise UserError(f"options set for '{name}', which is not among the methods: {', '.join(asked)}")
    peer = [PEER] if PEER not in asked and methods.known(PEER) else []
    return [Case(method=name, options=options.get(name, {})) for name in [*peer, *asked]]


def _keep(timing: Timing, folder: Path, name: str) -> None:
    """Show the table of a timing, and write it beside the times that it is made from."""
    from rich.table import Table

    from benchmarks.files.writing import write_atomic
    from benchmarks.timing import page

    out, (headers, rows) = console(), page.ratios(timing)
    shown = Table(*headers)
    for row in rows:
        shown.add_row(*row)
    out.print(shown)
    out.print(page.where(timing), soft_wrap=True)
    paths = [folder / f"{name}{ending}" for ending in (".json", ".md")]
    timing.write(paths[0])
    write_atomic(paths[1], page.section(timing))
    out.print("written: " + ", ".join(map(str, paths)), soft_wrap=True)


def _report(names: Sequence[str], folder: Path, parts: Mapping[str, Callable[[], Timing]]) -> int:
    """Measure parts of the page, or all, keep their times, and write the page from all times that are kept."""
    from benchmarks.timing import page
    from methods.errors import unknown

    for name in names:
        if name not in parts:
            raise UserError(f"--report: {unknown('part', name, parts)}")
    out = console()
    for name in names or parts:
        timing = parts[name]()
        path = folder / f"{name}-{timing.setting['device']}.json"
        timing.write(path)
        out.print(f"written: {path}", soft_wrap=True)
    out.print(f"written: {page.update(page.kept(folder))}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
