"""python -m benchmarks.pareto: draw accuracy against trained parameters, with the Pareto frontier per modality."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_highlight, add_results, command_parser, guarded, next_step
from methods.errors import check


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "pareto",
        "Draw accuracy against trained parameters, with the Pareto frontier of each modality.",
        {"draw the plot of a folder": "--results try", "draw it elsewhere": "--results try --out figures"},
    )
    read = p.add_argument_group("what to read")
    add_results(read)
    suite = "offline"
    read.add_argument("--suite", default=suite, metavar="NAME", help=f"only the runs of this suite (default: {suite})")
    write = p.add_argument_group("what to write")
    folder = "folder for the plot (default: figures in --results)"
    add_highlight(write)
    write.add_argument("-o", "--out", type=Path, metavar="DIR", help=folder)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the plot. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.figures import pareto
    from benchmarks.tables.reader import load
    from benchmarks.tables.rows import comparable

    groups = comparable(load(args.results, args.suite, shared=True))
    written = pareto.write(groups, args.out or args.results / "figures", args.highlight)
    check(bool(written), f"no run in {args.results} has every task of its table; run the missing ones")
    print("written: " + ", ".join(map(str, written)))
    next_step("open", written[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
