"""python -m benchmarks.pareto: accuracy against trained parameters, with the Pareto frontier of each modality."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import guarded


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.pareto", description=__doc__)
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument("--suite", default="offline", metavar="NAME", help="default: offline")
    p.add_argument("-o", "--out", type=Path, metavar="DIR", help="default: the folder figures of the results")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw the plot; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.figures import pareto
    from benchmarks.tables.reader import load
    from benchmarks.tables.rows import comparable

    groups = comparable(load(args.results, args.suite))
    written = pareto.write(groups, args.out or args.results / "figures")
    print("written: " + ", ".join(map(str, written)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
