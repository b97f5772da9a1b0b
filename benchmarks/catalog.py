"""python -m benchmarks.catalog: write methods/README.md, the table of all methods."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import guarded


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(prog="python -m benchmarks.catalog", description="Write the table of all methods.")
    p.add_argument(
        "-o", "--out", type=Path, default=Path("methods/README.md"), metavar="FILE", help="default: methods/README.md"
    )
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Measure every method and write the page."""
    args = parser().parse_args(argv)
    from benchmarks.files.writing import write_atomic
    from benchmarks.sweeps import catalog

    write_atomic(args.out, catalog.page())
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
