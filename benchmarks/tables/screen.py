"""Tables in a terminal: as many columns as there is room for, and none of them cut."""

from collections.abc import Collection, Container, Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.cli import visible
from benchmarks.tables.table import Table

SECONDARY = ("head", "PPT", "%", "published", "backward ms", "optimizer ms")  # never shown in a terminal
FIRST = (
    "mean",
    "95 % interval",
    "against best",
    "params",
    "source",
    "seeds",
)  # the columns at the left, before the tasks
WHOLE = ("mean", "95 % interval", "params", "seconds")  # shown however narrow the terminal is
MANY_TASKS = 8  # more tasks are too wide for a terminal
MOST_ROWS, FIRST_ROWS = 40, 10  # a terminal shows the first 10 rows of a table of more than 40
FRAME = 3  # characters that a column takes beside its text


def show(
    out: Console, made: Iterable[Table], *, costs: bool, hidden: Container[str] | None = None, most: int | None = None
) -> None:
    """Print tables with their alerts; those of costs only if they were asked for. ``most`` rows are shown in whole."""
    for table in made:
        if costs or not table.costs:
            out.print(to_rich(table, out.width, hidden, most))
            for alert in table.alerts:
                out.print(alert, style="yellow", highlight=False, soft_wrap=True)


def to_rich(table: Table, width: int, hidden: Container[str] | None = None, most: int | None = None) -> RichTable:
    """Make a table for a terminal of ``width`` characters, with the first rows only if there are many.

    The ``hidden`` columns are left out; by default these are the means of groups, or the tasks if there are many. What
    has no room is left out too: first the tasks, then other columns. A line below says how much the files have beside.
    """
    if hidden is None:
        means = [str(column) for column in table.cells if str(column).endswith(" mean")]
        hidden = table.tasks if len(table.tasks) > MANY_TASKS else means
    wanted = [c for c in map(str, table.cells) if c not in hidden and c not in SECONDARY]
    shown = _fitting(table, sorted(wanted, key=lambda c: FIRST.index(c) if c in FIRST else len(FIRST)), width)
    rows = len(table.cells) if len(table.cells) <= (most or MOST_ROWS) else FIRST_ROWS
    left = [_more(len(table.cells) - rows, "row"), _more(len(wanted) - len(shown), "column")]
    caption = " and ".join(filter(None, left))
    # a Text has no markup, so "[/x]" is no style
    title = Text(visible(table.title), "table.title")
    rich = RichTable(title=title, caption=f"{caption} in the files" if caption else None)
    rich.add_column(_first(table), overflow="fold")
    for column in shown:
        rich.add_column(Text(visible(column)), justify="right", no_wrap=True)
    best = table.best()[shown].to_numpy()
    for (name, *row), marked in zip(table.cells[shown].head(rows).itertuples(), best, strict=False):
        styles = ("bold" if is_best else "" for is_best in marked)
        texts = (Text(visible(str(text)), style) for text, style in zip(row, styles, strict=True))
        rich.add_row(Text(visible(str(name))), *texts)
    rich.add_section()
    for last in table.foot.reindex(columns=shown).itertuples():
        rich.add_row(*(Text(visible(str(text))) for text in last))
    return rich


def _fitting(table: Table, columns: Sequence[str], width: int) -> list[str]:
    """Return the columns for which there is room. Those of WHOLE come first, and the tasks last."""
    ranks = {column: (column not in WHOLE, column in table.tasks, column not in FIRST) for column in columns}
    room = width - 1 - _width(_first(table), map(str, table.cells.index))
    kept: set[str] = set()
    for column in sorted(columns, key=ranks.__getitem__):
        room -= _width(column, table.cells[column].astype(str))
        if room < 0 and column not in WHOLE:
            break
        kept.add(column)
    return [column for column in columns if column in kept]


def _first(table: Table) -> str:
    return str(table.cells.index.name or "method")


def _width(heading: str, texts: Collection[str] | Iterable[str]) -> int:
    return FRAME + max(cell_len(visible(text)) for text in (heading, *texts))


def _more(count: int, noun: str) -> str:
    return f"{count:,} more {noun}{'s' * (count > 1)}" if count else ""
