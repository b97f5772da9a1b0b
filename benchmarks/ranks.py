"""python -m benchmarks.ranks: draw the mean ranks of methods with their critical difference."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import guarded
from methods.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description="Draw the critical-difference diagram.")
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument("--suite", metavar="NAME", help="only runs of this suite (default: every suite)")
    p.add_argument("-o", "--out", type=Path, metavar="DIR", help="default: the folder figures of the results")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the diagrams; 2 for a user's mistake, or where no runs make one."""
    args = parser().parse_args(argv)
    from benchmarks.figures import ranks
    from benchmarks.tables.reader import load
    from benchmarks.tables.rows import comparable

    groups = comparable(load(args.results, args.suite))
    written = ranks.write(groups, args.out or args.results / "figures")
    if not written:
        raise UserError(
            f"no set of comparable runs in {args.results} has {ranks.FEWEST_METHODS} methods that all have the same "
            f"{ranks.FEWEST_TASKS} or more tasks and a seed in common; run more methods"
        )
    print("written: " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
