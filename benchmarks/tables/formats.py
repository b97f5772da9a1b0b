"""Tables as Markdown, LaTeX, CSV, and for a terminal."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from benchmarks.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table as RichTable

COMMAND = "python -m benchmarks.leaderboard"
BESIDE_THE_POINT = ("head", "PPT", "%", "published", "backward ms", "optimizer ms")  # left out in a terminal
MANY_TASKS = 8  # more tasks are too wide for a terminal
ESCAPED = str.maketrans({**{character: f"\\{character}" for character in "&%$#_{}"}, "±": "$\\pm$"})  # for LaTeX
MOST_ROWS, FIRST_ROWS = 40, 10  # a longer table is cut in a terminal; the files have all rows


def to_page(made: Sequence[Table]) -> str:
    """All tables below each other in Markdown, and how they were made."""
    return "\n\n".join(map(to_markdown, made)) + f"\n\nMade from the run records by `{COMMAND}`.\n"


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
