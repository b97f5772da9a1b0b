"""What guessing gets, and the marks of runs that learned nothing, against scipy's exact interval and by hand."""

import csv
import io

import numpy as np
from rich.console import Console
from scipy.stats import binomtest

from benchmarks.tables import chance, formats, screen
from benchmarks.tables.leaderboard import tables
from tests.support.made_records import ACCURACY, frame


def test_every_format_ends_with_what_guessing_gets_on_each_task():
    (table,) = tables(frame(ACCURACY))
    expected = {"digits": "10.0", "count": "12.5", "mean": "11.2", "rank": "-", "params": "-"}
    assert {name: table.foot.loc["chance", name] for name in expected} == expected
    rows = [line for line in formats.to_markdown(table).splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in rows[-1].split("|")][1] == "chance"
    assert list(csv.reader(io.StringIO(formats.to_csv([table]))))[-1][1] == "chance"
    assert "chance & - & 10.0 & 12.5" in formats.to_latex(table)
    assert "chance" in printed(table)


def test_chance_is_never_the_best():
    (table,) = tables(frame({("lora", "digits"): [0.01, 0.02]}))
    assert list(table.best().index) == ["lora"]
    assert "**2" not in formats.to_markdown(table) and "**1.5 ± 0.7 †**" in formats.to_markdown(table)


def test_a_run_is_at_chance_if_the_exact_binomial_interval_reaches_it():
    accuracies = [share / 1000 for share in range(80, 140, 3)]
    runs = frame({("lora", "digits"): accuracies}).assign(metric="accuracy")
    lows = [binomtest(round(share * 1000), 1000).proportion_ci(method="exact").low for share in accuracies]
    assert list(chance.at_chance(runs)) == [low <= 0.1 for low in lows]
    assert 0 < chance.at_chance(runs).sum() < len(runs)


def test_a_row_with_a_run_at_chance_is_marked_and_told_with_the_next_command():
    (table,) = tables(frame({**ACCURACY, ("linear", "count"): [0.30, 0.12, 0.31]}))
    assert table.cells["count"].str.endswith(" †").to_dict() == {"lora": False, "linear": True}
    assert not table.cells["digits"].str.contains("†").any()
    told = "† linear: no better than chance on count. Try a lower rate with --set linear.lr=0.001"
    (alert,) = table.alerts
    assert alert.startswith(told) and alert.endswith("python -m benchmarks.tune --methods linear.")
    assert told in printed(table) and told in formats.to_markdown(table).replace("\\", "")


def test_a_run_whose_loss_rose_is_marked():
    runs = frame(ACCURACY)
    losses = [np.array([0.5, 0.9, 0.6 if number == 0 else 0.4]) for number in range(len(runs))]
    (table,) = tables(runs.assign(**{chance.LOSS: losses}))
    assert table.cells["digits"].str.endswith(" †").to_dict() == {"lora": True, "linear": False}
    assert "† lora: the loss rose in training on digits." in table.alerts[0]


def test_another_metric_than_accuracy_has_no_chance():
    (table,) = tables(frame(ACCURACY).assign(**{"accuracy.metric": "instance mIoU"}))
    assert table.foot.empty and not table.alerts
    assert "chance" not in formats.to_markdown(table)


def printed(table) -> str:
    console = Console(record=True, width=250)
    screen.show(console, [table], costs=False)
    return console.export_text()
