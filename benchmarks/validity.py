"""python -m benchmarks.validity: compare our ranking of methods with the ranking that papers print."""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.cli import add_highlight, add_results, command_parser, guarded, next_step
from methods.errors import check

EXAMPLES = {
    "does the offline suite rank methods as VTAB-1K does?": "--suite offline --published vtab1k",
    "the correlation over some methods alone": "--published vtab1k --methods full linear adapter lora ssf convpass",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser(
        "validity",
        "Compare our ranking of methods with the published one: a scatter, Spearman's rank correlation and a page.",
        EXAMPLES,
    )
    read = p.add_argument_group("what to read")
    add_results(read, "folder that holds the records; the page and the figure are written below it")
    read.add_argument("--suite", metavar="NAME", help="only the runs of this suite (default: every suite)")
    read.add_argument("--published", metavar="SUITE", required=True, help="suite of the published numbers")
    read.add_argument(
        "--methods", nargs="+", metavar="NAME", help="only these methods; then the page and the figure are not written"
    )
    add_highlight(p.add_argument_group("what to show"))
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the page and the figure. Returns 2 for a person's mistake, or if too few methods are in common."""
    args = parser().parse_args(argv)
    from benchmarks.sweeps import report
    from benchmarks.tables import published as beside
    from benchmarks.tables.listing import chosen
    from benchmarks.tables.reader import load, ours
    from benchmarks.tables.rows import comparable
    from benchmarks.tables.validity import FEWEST, agreements

    beside.check(args.published)
    frame = ours(load(args.results, args.suite, shared=True))
    if args.methods:
        frame = chosen(frame, {"method": args.methods})
    made = agreements(comparable(frame), args.published)
    few = f"no comparable runs in {args.results} have {FEWEST} methods in common with the numbers of {args.published}"
    check(bool(made), f"{few}; run more methods that are in its published table")
    for one in made:
        print(f"{one.title}\n{one.summary()}\n")
    if args.methods:
        return 0
    written = report.write_validity(made, args.results, args.suite, args.highlight)
    print("written: " + ", ".join(map(str, written)))
    next_step("open", written[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
