"""python -m benchmarks.ranks: draw the mean ranks of methods with their critical difference."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import add_highlight, add_results, command_parser, guarded, next_step
from methods.errors import check


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "ranks",
        "Draw the mean ranks of methods with their critical difference (Demsar 2006).",
        {"draw the diagrams of the committed results elsewhere": "--out figures"},
    )
    read = p.add_argument_group("what to read")
    add_results(read)
    read.add_argument("--suite", metavar="NAME", help="only the runs of this suite (default: every suite)")
    write = p.add_argument_group("what to write")
    folder = "folder for the diagrams (default: figures in --results)"
    add_highlight(write)
    write.add_argument("-o", "--out", type=Path, metavar="DIR", help=folder)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the diagrams. Returns 2 for a person's mistake, or if there are too few runs for a diagram."""
    args = parser().parse_args(argv)
    from benchmarks.figures import ranks
    from benchmarks.tables.reader import load
    from benchmarks.tables.rows import comparable

    groups = comparable(load(args.results, args.suite, shared=True))
    written = ranks.write(groups, args.out or args.results / "figures", args.highlight)
    few = f"no set of comparable runs in {args.results} has {ranks.FEWEST_METHODS} methods that all have the same "
    check(bool(written), f"{few}{ranks.FEWEST_TASKS} or more tasks and a seed in common; run more methods")
    print("written: " + ", ".join(map(str, written)))
    next_step("open", written[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
