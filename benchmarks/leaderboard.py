"""python -m benchmarks.leaderboard: run records to tables (Markdown, CSV, LaTeX, Parquet), a page and the plot."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.cli import console, guarded, program
from benchmarks.tables import Table, comparable, of_groups

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

    from benchmarks.tables.columns import Histories

COMMAND = "python -m benchmarks.leaderboard"
BESIDE_THE_POINT = ("head", "PPT", "%", "published", "backward ms", "optimizer ms")  # in a terminal
MANY_TASKS = 8  # more are too wide for a terminal
ESCAPED = str.maketrans({**{character: f"\\{character}" for character in "&%$#_{}"}, "±": "$\\pm$"})  # for LaTeX
MOST_ROWS, FIRST_ROWS = 40, 10  # a longer table is cut in a terminal; the files have all


def parser() -> argparse.ArgumentParser:
    """The command line of this verb."""
    p = argparse.ArgumentParser(prog=COMMAND, description="Regenerate the leaderboard from the run records alone.")
    p.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    p.add_argument("--suite", metavar="NAME", help="only runs of this suite (default: every suite)")
    instead = p.add_mutually_exclusive_group()
    instead.add_argument(
        "--compare", nargs=2, metavar="ROW", help="show two rows against each other, and write nothing"
    )
    instead.add_argument(
        "--published",
        metavar="SUITE",
        help="write the numbers that papers report on this suite beside ours",
    )
    return p


@guarded
def main(argv: Sequence[str] | None = None) -> int:
    """Write the leaderboard and show it; 2 for a user's mistake."""
    args = parser().parse_args(argv)

    out = console()
    if args.compare:
        from benchmarks import store
        from benchmarks.tables import comparison

        for line in comparison.lines(store.load(args.results, args.suite), *args.compare):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
        return 0
    if args.published:
        from benchmarks import suites

        table, written = write_published(args.results, args.published)
        tasks = [str(name) for name in table.cells if name in suites.get(args.published).tasks]
        out.print(to_rich(table, hidden=tasks if len(tasks) > MANY_TASKS else ()))
    else:
        from benchmarks import drawing, store
        from benchmarks.tables.reader import uncollected

        with uncollected():
            frame, histories = store.load_with_histories(args.results, args.suite, later=drawing.NEEDED)
            written = save(frame, histories, args.results, lambda table: out.print(to_rich(table)))
    out.print("written: " + ", ".join(map(str, written)), soft_wrap=True)
    return 0


def write(results: Path, suite: str | None = None) -> list[Path]:
    """Write the leaderboard of the records below ``results`` there; returns the paths."""
    from benchmarks import store

    return save(*store.load_with_histories(results, suite), results)


def save(
    frame: pd.DataFrame, histories: Histories, results: Path, show: Callable[[Table], None] = lambda table: None
) -> list[Path]:
    """Write tables, the page, runs.parquet and figures of the runs of ``frame`` into ``results``; returns their paths.

    The index of ``frame`` has the numbers of its runs in ``histories``; ``show`` gets every table.
    """
    from benchmarks import drawing, second
    from benchmarks.files.writing import write_atomic
    from benchmarks.html.page import render
    from benchmarks.tables.parquet import to_parquet

    groups = comparable(frame)
    figures = drawing.begin(groups, results / "figures")
    made = of_groups(groups)
    markdown = second.begin(len(frame), to_page, made)
    for table in made:
        show(table)
    others: dict[str, str | bytes] = {
        "leaderboard.csv": to_csv(made),
        "leaderboard.tex": to_tex(made),
        "leaderboard.html": render(frame, groups, made, histories),
        "runs.parquet": to_parquet(frame, histories),
    }
    contents = {"leaderboard.md": markdown(), **others}
    drawn = figures()
    second.end()
    for name, content in contents.items():
        write_atomic(results / name, content)
    return [*(results / name for name in contents), *drawn]


def to_page(made: Sequence[Table]) -> str:
    """All tables below each other in Markdown, and how they were made."""
    return "\n\n".join(map(to_markdown, made)) + f"\n\nMade from the run records by `{COMMAND}`.\n"


def write_published(results: Path, suite: str) -> tuple[Table, list[Path]]:
    """Write published/SUITE.md and .csv and the figure below ``results``: what papers report, beside our records.

    Raises:
        UserError: the suite has no published numbers.
    """
    from benchmarks import store
    from benchmarks.files.writing import write_atomic
    from benchmarks.published import beside, figure

    beside.check(suite)
    recorded = any((results / store.RUNS).rglob("*.json"))
    groups = comparable(store.load(results)) if recorded else []
    table = beside.table(suite, groups)
    made = f"Made from `benchmarks/published/*.csv` and the run records by `{COMMAND} --published {suite}`."
    texts = {"md": f"{to_markdown(table)}\n\n{made}\n", "csv": to_csv([table])}
    paths = [results / beside.FOLDER / f"{suite}.{ending}" for ending in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        write_atomic(path, text)
    drawn = figure.write(groups, results / beside.FOLDER) if suite in figure.panels() else []
    return table, [*paths, *drawn]


def _marked(cells: pd.DataFrame, best: pd.DataFrame, mark: str) -> pd.DataFrame:
    """Cells with the best of every column put into ``mark``, a template with {}."""
    import pandas as pd

    texts, where = cells.to_numpy(dtype=object, copy=True), best.to_numpy()
    texts[where] = [mark.format(text) for text in texts[where]]
    return pd.DataFrame(texts, cells.index, cells.columns)


def to_markdown(table: Table) -> str:
    """A heading, a table with the best in bold, and what its columns mean."""
    cells = _marked(table.cells, table.best(), "**{}**")
    # wide, and in most tables the same in every row
    alike = [name for name in ("head",) if name in cells and cells[name].nunique() == 1 < len(cells)]
    said = [f"{name}: {cells[name].iloc[0]} in every row." for name in alike]
    notes = "\n".join(f"- {note}" for note in (*table.notes, *said))
    return f"### {table.title}\n\n{cells.drop(columns=alike).to_markdown(disable_numparse=True)}\n\n{notes}"


def to_latex(table: Table) -> str:
    """A tabular that needs booktabs."""
    cells = table.cells.map(_escape)
    cells = _marked(cells, table.best(), "\\textbf{{{}}}")
    cells.index, cells.columns = cells.index.map(_escape), cells.columns.map(_escape)
    body = [
        " & ".join([str(name), *map(str, row)]) + " \\\\" for name, row in zip(cells.index, cells.values, strict=True)
    ]
    head = " & ".join(["method", *map(str, cells.columns)]) + " \\\\"
    lines = [
        f"% {table.title}",
        *(f"% {note}" for note in table.notes),
        f"\\begin{{tabular}}{{l{'r' * len(cells.columns)}}}",
    ]
    return "\n".join([*lines, "\\toprule", head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}"])


def to_tex(made: Sequence[Table]) -> str:
    """All tables below each other as tabulars."""
    return "\n\n".join(map(to_latex, made)) + "\n"


def to_csv(made: Sequence[Table]) -> str:
    """All tables below each other, told apart by their first column."""
    import pandas as pd

    parts = [table.cells.reset_index().assign(table=table.title) for table in made]
    frame = pd.concat(parts)
    return str(frame[["table", *[c for c in frame.columns if c != "table"]]].to_csv(index=False, lineterminator="\n"))


def to_rich(table: Table, hidden: Container[str] | None = None) -> RichTable:
    """The columns of most use, for a terminal, or all but the ``hidden`` ones, and the first rows.

    Of use are tasks, or of many the means of their groups.
    """
    from rich.markup import escape
    from rich.table import Table as RichTable

    if hidden is None:
        means = [str(column) for column in table.cells if str(column).endswith(" mean")]
        hidden = {*BESIDE_THE_POINT, *(table.tasks if len(table.tasks) > MANY_TASKS else means)}
    shown = [c for c in table.cells.columns if c not in hidden]
    rows = len(table.cells) if len(table.cells) <= MOST_ROWS else FIRST_ROWS
    left = len(table.cells) - rows
    caption = f"{left:,} more row{'s' * (left > 1)} in the files" if left else None
    rich = RichTable("method", title=table.title, caption=caption)
    for column in shown:
        rich.add_column(column, justify="right")
    marked = _marked(table.cells.head(rows), table.best().head(rows), "[bold]{}[/bold]")[shown]
    for name, row in zip(marked.index, marked.values, strict=True):
        rich.add_row(escape(str(name)), *map(str, row))  # escaped, or "noah [a]" would lose its letter
    return rich


def _escape(text: object) -> str:
    return str(text).translate(ESCAPED)


if __name__ == "__main__":
    program(main)
