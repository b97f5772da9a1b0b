"""Tables as Markdown, LaTeX and CSV, and in a terminal."""

from collections.abc import Container, Sequence

import pandas as pd
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks.tables.table import Table

COMMAND = "python -m benchmarks.leaderboard"
SECONDARY = ("head", "PPT", "%", "published", "backward ms", "optimizer ms")  # not shown in a terminal
MANY_TASKS = 8  # more tasks are too wide for a terminal
LATEX = str.maketrans({**{character: f"\\{character}" for character in "&%$#_{}"}, "±": "$\\pm$"})
MOST_ROWS, FIRST_ROWS = 40, 10  # a terminal shows the first 10 rows of a table of more than 40


def to_page(made: Sequence[Table]) -> str:
    """Write all tables as one Markdown page that ends with the command that made it."""
    return "\n\n".join(map(to_markdown, made)) + f"\n\nMade from the run records by `{COMMAND}`.\n"


def _marked(cells: pd.DataFrame, best: pd.DataFrame, mark: str) -> pd.DataFrame:
    """Put the best cells of every column into ``mark``, a template with {}."""
    texts, where = cells.to_numpy(dtype=object, copy=True), best.to_numpy()
    texts[where] = [mark.format(text) for text in texts[where]]
    return pd.DataFrame(texts, cells.index, cells.columns)


def to_markdown(table: Table) -> str:
    """Write a heading, the table with the best cells in bold, and one list item per note."""
    cells, notes = _marked(table.cells, table.best(), "**{}**"), list(table.notes)
    # the column of the head is wide, and in most tables every row has the same head
    if "head" in cells and cells["head"].nunique() == 1 < len(cells):
        notes.append(f"head: {cells.pop('head').iloc[0]} in every row.")
    listed = "\n".join(f"- {note}" for note in notes)
    return f"### {table.title}\n\n{cells.to_markdown(disable_numparse=True)}\n\n{listed}"


def to_latex(table: Table) -> str:
    """Write a tabular, which needs the package booktabs, below its notes as comments."""
    cells = _marked(table.cells.map(_escape), table.best(), "\\textbf{{{}}}")
    rows = [["method", *map(_escape, cells)], *cells.rename(index=_escape).itertuples()]
    head, *body = (" & ".join(row) + " \\\\" for row in rows)
    about = [f"% {line}" for line in (table.title, *table.notes)]
    begin = f"\\begin{{tabular}}{{l{'r' * len(cells.columns)}}}"
    return "\n".join([*about, begin, "\\toprule", head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}"])


def to_tex(made: Sequence[Table]) -> str:
    """Write all tables as LaTeX tabulars."""
    return "\n\n".join(map(to_latex, made)) + "\n"


def to_csv(made: Sequence[Table]) -> str:
    """Write all tables as one CSV file, whose first column names the table."""
    frame = pd.concat([table.cells.reset_index().assign(table=table.title) for table in made])
    frame.insert(0, "table", frame.pop("table"))
    return str(frame.to_csv(index=False, lineterminator="\n"))


def to_rich(table: Table, hidden: Container[str] | None = None) -> RichTable:
    """Make a table for a terminal, without the ``hidden`` columns and with the first rows only.

    By default the secondary columns are hidden. So are the means of groups, or the tasks if there are many.
    """
    if hidden is None:
        means = [str(column) for column in table.cells if str(column).endswith(" mean")]
        hidden = {*SECONDARY, *(table.tasks if len(table.tasks) > MANY_TASKS else means)}
    shown = [c for c in table.cells.columns if c not in hidden]
    rows = len(table.cells) if len(table.cells) <= MOST_ROWS else FIRST_ROWS
    left = len(table.cells) - rows
    caption = f"{left:,} more row{'s' * (left > 1)} in the files" if left else None
    rich = RichTable("method", title=table.title, caption=caption)
    for column in shown:
        rich.add_column(column, justify="right")
    marked = _marked(table.cells.head(rows), table.best().head(rows), "[bold]{}[/bold]")[shown]
    for name, row in zip(marked.index, marked.values, strict=True):
        # without escape, rich would take "[a]" in "noah [a]" for a style
        rich.add_row(escape(str(name)), *map(str, row))
    return rich


def _escape(text: object) -> str:
    return str(text).translate(LATEX)
