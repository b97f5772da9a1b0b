"""Tables in a terminal: what is shown if there is little room."""

import re

import pandas as pd
import pytest
from rich.console import Console

from benchmarks.tables import screen
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.table import Table
from tests.support.made_records import ACCURACY, frame


def printed(table: Table, width: int = 200) -> str:
    console = Console(record=True, width=width)
    console.print(screen.to_rich(table, width))
    return console.export_text()


def headings(table: Table, width: int) -> list[str]:
    (line,) = (line for line in printed(table, width).splitlines() if line.startswith("┃"))
    return [cell.strip() for cell in line.split("┃")[1:-1]]


@pytest.fixture
def made() -> Table:
    """A table with a long name and numbers of more than six digits."""
    (table,) = tables(frame(ACCURACY))
    table.cells["params"] = "1,000,000 to 1,406,040"
    return table


def test_a_row_with_a_letter_keeps_it_in_a_terminal(made):
    made.cells.index = pd.Index(["lora [a]", "linear"])
    assert "lora [a]" in printed(made)


def test_a_narrow_terminal_leaves_out_tasks_first_and_cuts_nothing(made):
    first = ["method", "mean", "95 % interval", "against best", "params"]
    assert headings(made, 200) == [*first, "seeds", "digits", "count", "rank"]
    assert headings(made, 110) == [*first, "seeds", "digits", "rank"]
    assert headings(made, 80) == first
    made.cells.index = pd.Index(["adapterx hidden=4 shared=False variant=dynamic", "linear"])
    shown = printed(made, 80)
    assert headings(made, 80) == ["method", "mean", "95 % interval", "params"]
    assert max(map(len, shown.splitlines())) <= 80 and "…" not in shown and "..." not in shown
    (mean,) = made.cells["mean"][:1]
    (interval,) = made.cells["95 % interval"][:1]
    assert all(text in shown for text in (mean, interval, "1,000,000 to 1,406,040"))
    first_column = [line.split("│")[1].strip() for line in shown.splitlines() if line.startswith("│")]
    assert first_column[-2:] == ["linear", "chance"]
    assert " ".join(first_column[:-2]) == "adapterx hidden=4 shared=False variant=dynamic"
    assert re.search(r"\d more columns in the files", shown)


def test_costs_are_shown_if_they_are_asked_for():
    made = tables(frame(ACCURACY).assign(**{"environment.device": "cpu"}))
    for costs in (False, True):
        console = Console(record=True, width=200)
        screen.show(console, made, costs=costs)
        assert ("what runs cost" in console.export_text()) is costs


def test_a_terminal_shows_the_first_rows_and_says_how_many_it_leaves_out(made, monkeypatch):
    assert "more row" not in printed(made) and "linear" in printed(made)
    monkeypatch.setattr(screen, "MOST_ROWS", 1)
    monkeypatch.setattr(screen, "FIRST_ROWS", 1)
    assert "1 more row in the files" in printed(made)
    assert "1 more row and 4 more columns in the files" in printed(made, 80)
    assert "lora" in printed(made) and "linear" not in printed(made)
    console = Console(record=True, width=200)
    screen.show(console, [made], costs=True, most=2)
    assert "linear" in console.export_text()


def test_a_terminal_shows_tasks_or_for_many_tasks_group_means(monkeypatch):
    table = tables(frame({**ACCURACY, ("lora", "texture"): [0.5], ("linear", "texture"): [0.5]}))[0]
    assert "digits" in printed(table) and "natural mean" not in printed(table)
    monkeypatch.setattr(screen, "MANY_TASKS", 2)
    assert "digits" not in printed(table) and "natural mean" in printed(table)
