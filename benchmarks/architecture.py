"""python -m benchmarks.architecture: the widths that NOAH's search found, block by block."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import guarded
from benchmarks.figures import drawing
from methods.errors import UserError


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(
        prog="python -m benchmarks.architecture",
        description="Draw the width of every family of modules in every block that a run of NOAH has found.",
    )
    drawing.add_arguments(p)
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw one run; 2 for a user's mistake."""
    args = parser().parse_args(argv)
    from benchmarks.records import store

    drawing.check_ending(args.out)
    record = store.find(args.results, args.run)
    report = record.get("report", {})
    if "architecture" not in report:
        raise UserError(f"the record of {drawing.title(record)} has no architecture; give a run of noah")
    widths, search = report["architecture"], report["search"]
    panel = f"width, {search['params']:,} parameters, best of {search['subnets']:,} subnets on validation"
    figure = drawing.heatmaps(
        {panel: list(widths.values())}, rows=list(widths), form="d", heading=drawing.title(record)
    )
    drawing.save(figure, args.out)
    print(f"written: {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
