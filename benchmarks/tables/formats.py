"""Tables as Markdown, LaTeX and CSV. Every text in a table is escaped for its format."""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from benchmarks.cli import visible
from benchmarks.tables.table import Table

COMMAND = "python -m benchmarks.leaderboard"
# links, HTML, emphasis and formulas, but neither "vit_nano" nor "noah [a]"
MARKDOWN = re.compile(r"[\\|<*~$`]|\](?=[(\[])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}
    | {"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "±": "$\\pm$", "†": "$\\dagger$"}
)
FORMULA = re.compile(r"[=+\-@\uff1d\uff0b\uff0d\uff20]")  # a spreadsheet computes a cell that begins with one of these
NUMBER = re.compile(r"-|[-+]?[\d.,]+(e[-+]?\d+)?( (±|to) [-+]?[\d.,]+)?")


def _markdown(text: str) -> str:
    return MARKDOWN.sub(r"\\\g<0>", visible(text))


def _latex(text: str) -> str:
    # the command that ends a row takes a star or a bracket after it for its own
    return "{}" * text.startswith(("*", "[")) + visible(text).translate(LATEX)


def for_csv(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would compute."""
    computed = FORMULA.match(text) and not NUMBER.fullmatch(text)
    return "'" * bool(computed) + visible(text)


def _texts(table: Table, safe: Callable[[str], str], best: str) -> pd.DataFrame:
    """Return the cells of a table, and the names of its rows and columns, as safe texts.

    The best cell of every column is put into ``best``, a template with {}.
    """
    cells = table.whole()
    marked = table.best().reindex(cells.index, fill_value=False).to_numpy()
    rows = [
        [best.format(safe(str(text))) if is_best else safe(str(text)) for text, is_best in zip(*row, strict=True)]
        for row in zip(cells.to_numpy(dtype=object), marked, strict=True)
    ]
    names = pd.Index([safe(str(name)) for name in cells.index], name=cells.index.name, dtype=object)
    return pd.DataFrame(rows, names, [safe(str(name)) for name in cells], dtype=object)


def to_page(made: Sequence[Table]) -> str:
    """Write all tables as one Markdown page that ends with the command that made it."""
    return "\n\n".join(map(to_markdown, made)) + f"\n\nMade from the run records by `{COMMAND}`.\n"


def to_markdown(table: Table) -> str:
    """Write a heading, the table with the best cells in bold, and one list item per note."""
    cells, notes = _texts(table, _markdown, "**{}**"), ["`".join(map(_markdown, n.split("`"))) for n in table.told]
    # the column of the head is wide, and in most tables every row has the same head
    if "head" in table.cells and table.cells["head"].nunique() == 1 < len(table.cells):
        notes.append(f"head: {cells.pop('head').iloc[0]} in every row.")
    listed = "\n".join(f"- {note}" for note in notes)
    return f"### {_markdown(table.title)}\n\n{cells.to_markdown(disable_numparse=True)}\n\n{listed}"


def to_latex(table: Table) -> str:
    """Write a tabular, which needs the package booktabs, below its notes as comments."""
    cells = _texts(table, _latex, "\\textbf{{{}}}")
    rows = [("method", *cells), *cells.itertuples()]
    head, *body = (" & ".join(row) + " \\\\" for row in rows)
    about = [f"% {visible(line)}" for line in (table.title, *table.told)]
    begin = f"\\begin{{tabular}}{{l{'r' * len(cells.columns)}}}"
    return "\n".join([*about, begin, "\\toprule", head, "\\midrule", *body, "\\bottomrule", "\\end{tabular}"])


def to_tex(made: Sequence[Table]) -> str:
    """Write all tables as LaTeX tabulars."""
    return "\n\n".join(map(to_latex, made)) + "\n"


def to_csv(made: Sequence[Table]) -> str:
    """Write all tables as one CSV file, whose first column names the table."""
    frame = pd.concat([table.whole().reset_index().assign(table=table.title) for table in made])
    frame.insert(0, "table", frame.pop("table"))
    frame = frame.map(lambda text: for_csv(text) if isinstance(text, str) else text).rename(columns=for_csv)
    return str(frame.to_csv(index=False, lineterminator="\n"))
