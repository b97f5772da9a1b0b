"""python -m benchmarks.routing: draw the experts to which Adapter-X sends tokens, per block."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import guarded, next_step
from benchmarks.figures import drawing
from methods.errors import UserError


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    return drawing.parser(
        "routing",
        "Draw the token allocation and the routing score of a run of Adapter-X, per block and expert. The record holds "
        "both: they were measured on the training samples after training.",
        {"draw the only run of Adapter-X in a folder": "adapterx --results try -o routing.png"},
    )


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Draw one run. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    record = drawing.asked(args)
    routing = record.get("report", {}).get("routing")
    if not routing:
        raise UserError(f"the record of {drawing.title(record)} has no routing; give a run of adapterx")
    names = {"allocation": "token allocation: share of sub-tokens sent to an expert (%)"}
    names["score"] = "routing score: mean probability of an expert (%)"
    panels = {
        title: [[100 * v for v in expert] for expert in zip(*routing[n], strict=True)] for n, title in names.items()
    }
    rows = [f"expert {i + 1}" for i in range(len(routing["score"][0]))]
    drawing.save(
        drawing.heatmaps(panels, rows=rows, form=".0f", heading=f"Use of the experts: {drawing.title(record)}"),
        args.out,
    )
    print(f"written: {args.out}")
    next_step("open", args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
