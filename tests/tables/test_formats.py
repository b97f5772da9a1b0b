"""Tables as Markdown, LaTeX, CSV and for a terminal."""

import pandas as pd
from rich.console import Console

from benchmarks.tables import formats
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.table import Table
from tests.support.made_records import ACCURACY, frame


def test_a_head_that_is_the_same_in_every_row_is_said_once():
    (table,) = tables(frame(ACCURACY))
    text = formats.to_markdown(table)
    assert "head" in table.cells and "| head" not in text
    assert "- head: 10 in every row." in text
    assert "head" in formats.to_csv([table]).splitlines()[0]


def test_a_row_with_a_letter_keeps_it_in_a_terminal():
    (table,) = tables(frame(ACCURACY))
    table.cells.index = pd.Index(["lora [a]", "linear"])
    assert "lora [a]" in printed(table)


def printed(table: Table) -> str:
    console = Console(record=True, width=200)
    console.print(formats.to_rich(table))
    return console.export_text()


def test_a_terminal_shows_the_first_rows_and_says_how_many_it_leaves_out(monkeypatch):
    (table,) = tables(frame(ACCURACY))
    assert "more row" not in printed(table) and "linear" in printed(table)
    monkeypatch.setattr(formats, "MOST_ROWS", 1)
    monkeypatch.setattr(formats, "FIRST_ROWS", 1)
    assert "1 more row in the files" in printed(table)
    assert "lora" in printed(table) and "linear" not in printed(table)


def test_a_terminal_shows_tasks_or_for_many_tasks_group_means(monkeypatch):
    (table,) = tables(frame({**ACCURACY, ("lora", "texture"): [0.5], ("linear", "texture"): [0.5]}))
    assert "digits" in printed(table) and "natural mean" not in printed(table)
    monkeypatch.setattr(formats, "MANY_TASKS", 2)
    assert "digits" not in printed(table) and "natural mean" in printed(table)


def test_the_best_is_bold_and_so_is_its_equal():
    tied = {**ACCURACY, ("norm", "digits"): [0.90, 0.92, 0.94], ("norm", "count"): [0.1, 0.1, 0.1]}
    (table,) = tables(frame(tied))
    lines = formats.to_markdown(table).splitlines()
    shown = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert shown["lora"].count("**92.0 ± 2.0**") == shown["norm"].count("**92.0 ± 2.0**") == 1
    assert "**" not in shown["linear"]


def test_latex_is_escaped():
    (table,) = tables(frame(ACCURACY))
    table.cells.index = pd.Index(["a_b", "c&d%"])
    text = formats.to_latex(table)
    assert "a\\_b" in text and "c\\&d\\%" in text and "$\\pm$" in text
