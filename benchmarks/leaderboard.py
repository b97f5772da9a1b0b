"""python -m benchmarks.leaderboard: make tables (Markdown, CSV, LaTeX, Parquet), a page and figures from records."""

import argparse
import gc
import sys
from collections.abc import Sequence
from functools import partial

from benchmarks.cli import add_costs, add_highlight, add_results, command_parser, console, guarded, next_step

EXAMPLES = {
    "write the tables, the page and the figures of a folder": "--results try",
    "test whether two rows of the table differ": "--results try --compare adapterx lora",
    "put the numbers of papers beside ours": "--published vtab1k",
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    p = command_parser("leaderboard", "Write the leaderboard from the run records alone.", EXAMPLES)
    read = p.add_argument_group("what to read")
    add_results(read, "folder that holds the records; tables and figures are written there")
    read.add_argument("--suite", metavar="NAME", help="only the runs of this suite (default: every suite)")
    what = p.add_argument_group("what to show")
    add_highlight(what)
    add_costs(what)
    instead = p.add_argument_group("what to show or write instead").add_mutually_exclusive_group()
    instead.add_argument("--compare", nargs=2, metavar="ROW", help="compare two rows of the table; writes nothing")
    instead.add_argument("--published", metavar="SUITE", help="write the numbers that papers report beside ours")
    instead.add_argument("--summary", nargs="+", metavar="METHOD", help="print a short table; writes nothing")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the leaderboard and show it. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    from benchmarks import suites
    from benchmarks.sweeps import report
    from benchmarks.tables import comparison, screen
    from benchmarks.tables.formats import to_markdown
    from benchmarks.tables.reader import load, ours
    from benchmarks.tables.rows import comparable
    from benchmarks.tables.summary import summary

    out = console()
    show = partial(out.print, highlight=False, soft_wrap=True)
    if args.compare:
        show("\n".join(comparison.lines(load(args.results, args.suite, shared=True), *args.compare)))
        return 0
    if args.summary:
        frame = ours(load(args.results, args.suite, shared=True))
        show(to_markdown(summary(comparable(frame), args.summary)))
        return 0
    if args.published:
        table, written = report.write_published(args.results, args.published, args.highlight)
        tasks = [str(name) for name in table.cells if name in suites.get(args.published).tasks]
        screen.show(out, [table], costs=True, hidden=tasks if len(tasks) > screen.MANY_TASKS else ())
    else:
        frame = load(args.results, args.suite, shared=True)
        gc.freeze()  # the frame stays until the end; otherwise Python looks for garbage in it again and again
        written = report.save(frame, args.results, partial(screen.show, out, costs=args.costs), args.highlight)
    out.print("written: " + ", ".join(map(str, written)), soft_wrap=True)
    next_step("open", next((path for path in written if path.suffix == ".html"), written[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
