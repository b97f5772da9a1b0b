"""Tables as Markdown, LaTeX, CSV and for a terminal: texts are shown as they are."""

import csv
import io
import re
from html import escape

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from benchmarks.tables import formats
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.table import Table, nothing_best
from tests.support.made_records import ACCURACY, frame
from tests.tables.test_screen import printed


def test_a_head_that_is_the_same_in_every_row_is_said_once():
    (table,) = tables(frame(ACCURACY))
    text = formats.to_markdown(table)
    assert "head" in table.cells and "| head" not in text
    assert "- head: 10 in every row." in text
    assert "head" in formats.to_csv([table]).splitlines()[0]


def test_the_best_is_bold_and_so_is_its_equal():
    tied = {**ACCURACY, ("norm", "digits"): [0.90, 0.92, 0.94], ("norm", "count"): [0.1, 0.1, 0.1]}
    (table,) = tables(frame(tied))
    lines = formats.to_markdown(table).splitlines()
    shown = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert shown["lora"].count("**92.0 ± 2.0**") == shown["norm"].count("**92.0 ± 2.0**") == 1
    assert "**" not in shown["linear"]


HOSTILE = [
    "=1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@x",
    "[/x]",
    "a_b",
    "_i_ *b* `c` <d> [e](f) $g$",
    "~^\\<>",
    "\x1b[31m\u202e\n",
]


@pytest.fixture
def hostile() -> Table:
    """A table whose rows are named in ways that a format may misread."""
    cells = pd.DataFrame({"digits": ["-1.5 ± 0.3", "-", "-6.9 to 62.3", "+1", *HOSTILE[:4]]}, pd.Index(HOSTILE))
    return Table("=title\u202e", ("see `a`: <b>",), cells.rename_axis("method"), nothing_best(cells))


def test_a_spreadsheet_computes_no_text_and_keeps_numbers(hostile):
    (_, title, name, _), *rows = [["", *row] for row in csv.reader(io.StringIO(formats.to_csv([hostile])))]
    assert (title, name) == ("table", "method")
    assert {row[1] for row in rows} == {r"'=title\u202e"}
    same = HOSTILE[3:-1]
    assert [row[2] for row in rows] == ["'=1+1", "'-2+3+cmd|' /C calc'!A0", "'@x", *same, r"\x1b[31m\u202e\n"]
    assert [row[3] for row in rows[:4]] == ["-1.5 ± 0.3", "-", "-6.9 to 62.3", "+1"]


def test_markdown_shows_every_text_as_it_is(hostile):
    html = MarkdownIt("gfm-like", {"linkify": False}).render(formats.to_markdown(hostile))
    assert re.findall(r"<td.*?>(.*?)</td>", html)[::2] == [
        *(escape(name, quote=False) for name in HOSTILE[:-1]),
        r"\x1b[31m\u202e\n",
    ]
    assert r"<h3>=title\u202e</h3>" in html
    assert "<li>see <code>a</code>: &lt;b&gt;</li>" in html
    assert r"\$g\$" in formats.to_markdown(hostile)  # GitHub reads $g$ as a formula


def test_a_terminal_shows_every_text_as_it_is(hostile):
    shown = printed(hostile)
    assert [name for name in HOSTILE[:-1] if name not in shown] == []
    assert r"\x1b[31m\u202e\n" in shown and r"=title\u202e" in shown and "\x1b" not in shown


def test_latex_is_escaped(hostile):
    rows = [line.partition(" & ")[0] for line in formats.to_latex(hostile).splitlines() if " & " in line][1:]
    assert rows == [
        "=1+1",
        "-2+3+cmd\\textbar{}' /C calc'!A0",
        "@x",
        "{}[/x]",
        "a\\_b",
        "\\_i\\_ *b* `c` \\textless{}d\\textgreater{} [e](f) \\$g\\$",
        "\\textasciitilde{}\\textasciicircum{}\\textbackslash{}\\textless{}\\textgreater{}",
        "\\textbackslash{}x1b[31m\\textbackslash{}u202e\\textbackslash{}n",
    ]
    (table,) = tables(frame(ACCURACY))
    assert "\\textbf{92.0 $\\pm$ 2.0}" in formats.to_latex(table)
