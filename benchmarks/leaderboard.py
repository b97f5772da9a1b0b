"""python -m benchmarks.leaderboard: make tables (Markdown, CSV, LaTeX, Parquet), a page and figures from records."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import add_results, command_parser, console, guarded
from benchmarks.tables.formats import COMMAND, MANY_TASKS, to_csv, to_markdown, to_page, to_rich, to_tex
from benchmarks.tables.leaderboard import of_groups
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd


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
    instead = p.add_argument_group("what to show or write instead").add_mutually_exclusive_group()
    instead.add_argument("--compare", nargs=2, metavar="ROW", help="compare two rows of the table; writes nothing")
    instead.add_argument("--published", metavar="SUITE", help="write the numbers that papers report beside ours")
    instead.add_argument("--summary", nargs="+", metavar="METHOD", help="print a short table; writes nothing")
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the leaderboard and show it. Returns 2 for a person's mistake."""
    args = parser().parse_args(argv)
    out = console()
    if args.compare:
        from benchmarks.tables import comparison
        from benchmarks.tables.reader import load

        for line in comparison.lines(load(args.results, args.suite), *args.compare):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        return 0
    if args.summary:
        from benchmarks.tables.reader import load
        from benchmarks.tables.summary import summary

        table = summary(comparable(load(args.results, args.suite)), args.summary)
        out.print(to_markdown(table), markup=False, highlight=False, soft_wrap=True)
        return 0
    if args.published:
        from benchmarks import suites

        table, written = write_published(args.results, args.published)
        tasks = [str(name) for name in table.cells if name in suites.get(args.published).tasks]
        out.print(to_rich(table, hidden=tasks if len(tasks) > MANY_TASKS else ()))
    else:
        from benchmarks.tables.reader import load

        written = save(load(args.results, args.suite), args.results, lambda table: out.print(to_rich(table)))
    out.print("written: " + ", ".join(map(str, written)), soft_wrap=True)
    return 0


def save(frame: pd.DataFrame, results: Path, show: Callable[[Table], None] = lambda table: None) -> list[Path]:
    """Write the tables, the page, runs.parquet and the figures of the runs in ``frame`` into ``results``.

    Calls ``show`` with every table. Returns the paths of the written files.
    """
    from benchmarks.figures import pareto, ranks
    from benchmarks.files.writing import write_atomic
    from benchmarks.html.page import render
    from benchmarks.tables.parquet import to_parquet

    groups = comparable(frame)
    made = of_groups(groups)
    for table in made:
        show(table)
    contents: dict[str, str | bytes] = {
        "leaderboard.md": to_page(made),
        "leaderboard.csv": to_csv(made),
        "leaderboard.tex": to_tex(made),
        "leaderboard.html": render(frame, groups, made),
        "runs.parquet": to_parquet(frame),
    }
    for name, content in contents.items():
        write_atomic(results / name, content)
    figures = results / "figures"
    return [*(results / name for name in contents), *pareto.write(groups, figures), *ranks.write(groups, figures)]


def write_published(results: Path, suite: str) -> tuple[Table, list[Path]]:
    """Write the numbers that papers report beside ours: published/SUITE.md, .csv and a figure below ``results``.

    Raises:
        UserError: no published numbers of that suite are known.
    """
    from benchmarks.figures import published as figure
    from benchmarks.files.writing import write_atomic
    from benchmarks.records import store
    from benchmarks.tables import published as beside
    from benchmarks.tables.reader import load

    beside.check(suite)
    recorded = any((results / store.RUNS).rglob("*.json"))
    groups = comparable(load(results)) if recorded else []
    table = beside.table(suite, groups)
    made = f"Made from `benchmarks/published/*.csv` and the run records by `{COMMAND} --published {suite}`."
    texts = {"md": f"{to_markdown(table)}\n\n{made}\n", "csv": to_csv([table])}
    paths = [results / beside.FOLDER / f"{suite}.{ending}" for ending in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_atomic(path, text)
    drawn = figure.write(groups, results / beside.FOLDER) if suite in figure.panels() else []
    return table, [*paths, *drawn]


if __name__ == "__main__":
    sys.exit(main())
