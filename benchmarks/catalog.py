"""python -m benchmarks.catalog: write methods/README.md, the table of all methods."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cli import command_parser, guarded, next_step


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "catalog",
        "Write the table of all methods: what each one changes, trains and counts, measured on random weights.",
        {"write the table after a change of a method": "", "write it elsewhere": "-o methods.md"},
    )
    write = p.add_argument_group("what to write")
    page = Path("methods/README.md")
    write.add_argument("-o", "--out", type=Path, default=page, metavar="FILE", help=f"Markdown file (default: {page})")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Measure every method and write the page. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.files.writing import write_atomic
    from benchmarks.sweeps import catalog

    write_atomic(args.out, catalog.page())
    print(f"written: {args.out}")
    next_step("open", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
