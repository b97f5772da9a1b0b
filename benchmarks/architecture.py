"""python -m benchmarks.architecture: draw the widths that NOAH's search found, per block."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import guarded, next_step
from benchmarks.figures import drawing
from methods.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    return drawing.parser(
        "architecture",
        "Draw what a run that searches found: the widths of NOAH or the kinds of GLoRA, block by block.",
        {"draw the only run of NOAH in a folder": "noah --results try -o architecture.png"},
    )


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw one run. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    record = drawing.asked(args)
    report = record.get("report", {})
    if "architecture" not in report:
        raise UserError(f"the record of {drawing.title(record)} has no architecture; give a run of noah or glora")
    widths, search = report["architecture"], report["search"]
    values = report.get("architecture_values", "width")
    panel = f"{values}, {search['params']:,} parameters, best of {search['subnets']:,} subnets on validation"
    panels = {panel: list(widths.values())}
    drawing.save(
        drawing.heatmaps(
            panels, rows=list(widths), form="d", heading=f"What the search chose: {drawing.title(record)}"
        ),
        args.out,
    )
    print(f"written: {args.out}")
    next_step("open", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
