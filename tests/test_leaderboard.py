"""Tables and Pareto points against independent calculations."""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from scipy import stats

from benchmarks import leaderboard
from benchmarks import pareto as pareto_command
from benchmarks.figures import pareto
from benchmarks.sweeps import sweep
from benchmarks.tables import formats, reader, rows
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from tests.support.made_records import ACCURACY, frame, record


def test_cells_are_means_and_sample_deviations_over_seeds() -> None:
    (table,) = tables(frame(ACCURACY))
    assert list(table.cells.index) == ["lora", "linear"]
    digits = [100 * value for value in ACCURACY["lora", "digits"]]
    assert table.cells.loc["lora", "digits"] == f"{statistics.mean(digits):.1f} ± {statistics.stdev(digits):.1f}"
    means = [100 * (a + b) / 2 for a, b in zip(ACCURACY["lora", "digits"], ACCURACY["lora", "count"], strict=True)]
    assert table.cells.loc["lora", "mean"] == f"{statistics.mean(means):.1f} ± {statistics.stdev(means):.1f}"
    assert table.cells.loc["lora", "seeds"] == "3"
    assert table.cells.loc["lora", "%"] == "10.00"
    expected = statistics.mean(means) / 100 * math.exp(-math.log10(100 / 1e7 + 1))
    assert table.cells.loc["lora", "PPT"] == f"{expected:.3f}"


def test_tuned_runs_are_one_row_whatever_was_found_for_each_task() -> None:
    told = {"study": "s", "trials": 12, "split": "val", "val_accuracy": 0.5, "fixed": ["rank"], "search_seed": 0}
    records = []
    for options in ({"rank": 4, "lr": 0.1}, {"rank": 4, "lr": 0.2}):
        (first, second) = sweep.specs(
            sweep.Sweep(methods=("lora",), tasks=("digits", "count"), set={"lora": options}), "float32"
        )
        spec = first if options["lr"] == 0.1 else second
        records.append(record(replace(spec, tuning=told), 0.9, 100))
        records.append(record(first, 0.8, 100))
    (table,) = tables(reader.to_frame(records))
    assert table.cells.loc["lora rank=4 tuned, 12 trials", ["digits", "count"]].tolist() == ["90.0", "90.0"]
    assert {str(row) for row in table.cells.index if "tuned" not in str(row)} == {
        "lora lr=0.1 rank=4",
        "lora lr=0.2 rank=4",
    }


def test_figures_say_once_that_all_rows_are_tuned_alike() -> None:
    lora, ssf = "lora tuned, 12 trials", "ssf tuned, 12 trials"
    assert rows.in_figures([lora, ssf]) == ({lora: "lora", ssf: "ssf"}, ", tuned, 12 trials")
    for apart in (["lora", lora], ["lora", "ssf"], ["lora rank=4", "ssf rank=4"]):
        assert rows.in_figures(apart) == ({row: row for row in apart}, "")


def test_the_mean_has_its_t_interval_and_rows_their_rank_and_verdict() -> None:
    (table,) = tables(frame(ACCURACY))
    means = [100 * (a + b) / 2 for a, b in zip(ACCURACY["lora", "digits"], ACCURACY["lora", "count"], strict=True)]
    half = 4.303 * statistics.stdev(means) / math.sqrt(3)
    mean = statistics.mean(means)
    assert table.cells.loc["lora", "95 % interval"] == f"{mean - half:.1f} to {mean + half:.1f}"
    assert list(table.cells["against best"]) == ["best", "below"]
    assert list(table.cells["rank"]) == ["1.0", "2.0"]


def test_one_seed_has_no_interval_and_no_verdict() -> None:
    (table,) = tables(frame({key: values[:1] for key, values in ACCURACY.items()}))
    assert list(table.cells["95 % interval"]) == ["-", "-"]
    assert list(table.cells["against best"]) == ["best", "-"]


def test_a_row_without_every_task_is_outside_ranks_and_verdicts() -> None:
    three = {**ACCURACY, ("norm", "digits"): [0.99, 0.99, 0.99]}
    (table,) = tables(frame(three))
    assert (table.cells.loc["norm", ["rank", "against best", "95 % interval", "mean"]] == "-").all()
    assert dict(table.cells["rank"].drop("norm")) == {"lora": "1.0", "linear": "2.0"}


def test_a_head_that_is_the_same_in_every_row_is_said_once() -> None:
    (table,) = tables(frame(ACCURACY))
    text = formats.to_markdown(table)
    assert "head" in table.cells and "| head" not in text
    assert "- head: 10 in every row." in text
    assert "head" in formats.to_csv([table]).splitlines()[0]


def test_a_row_with_a_letter_keeps_it_in_a_terminal() -> None:
    (table,) = tables(frame(ACCURACY))
    table.cells.index = pd.Index(["lora [a]", "linear"])
    assert "lora [a]" in printed(table)


def printed(table: Table) -> str:
    console = Console(record=True, width=200)
    console.print(formats.to_rich(table))
    return console.export_text()


def test_a_terminal_shows_as_many_rows_as_can_be_read_and_says_how_many_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (table,) = tables(frame(ACCURACY))
    assert "more row" not in printed(table) and "linear" in printed(table)
    monkeypatch.setattr(formats, "MOST_ROWS", 1)
    monkeypatch.setattr(formats, "FIRST_ROWS", 1)
    assert "1 more row in the files" in printed(table)
    assert "lora" in printed(table) and "linear" not in printed(table)


def test_a_terminal_shows_tasks_or_of_many_the_means_of_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    (table,) = tables(frame({**ACCURACY, ("lora", "texture"): [0.5], ("linear", "texture"): [0.5]}))
    assert "digits" in printed(table) and "natural mean" not in printed(table)
    monkeypatch.setattr(formats, "MANY_TASKS", 2)
    assert "digits" not in printed(table) and "natural mean" in printed(table)


def test_the_best_is_bold_and_so_is_its_equal() -> None:
    tied = {**ACCURACY, ("norm", "digits"): [0.90, 0.92, 0.94], ("norm", "count"): [0.1, 0.1, 0.1]}
    (table,) = tables(frame(tied))
    lines = formats.to_markdown(table).splitlines()
    shown = {line.split("|")[1].strip(): line for line in lines if line.startswith("|")}
    assert shown["lora"].count("**92.0 ± 2.0**") == shown["norm"].count("**92.0 ± 2.0**") == 1
    assert "**" not in shown["linear"]


def test_a_method_that_lacks_a_task_gets_no_mean() -> None:
    (table,) = tables(frame({k: v for k, v in ACCURACY.items() if k != ("linear", "count")}))
    assert (table.cells.loc["linear", ["count", "mean", "group mean", "PPT"]] == "-").all()


def test_runs_of_other_recipes_stand_in_tables_of_their_own() -> None:
    both = pd.concat([frame(ACCURACY), frame(ACCURACY, recipe={"epochs": 3})], ignore_index=True)
    made = tables(both)
    assert len(made) == 2
    assert {note for table in made for note in table.notes if note.startswith("Recipe")} == {
        note for table in made for note in [table.notes[3]]
    }


def test_votes_are_named_where_there_are_several_and_stand_apart_from_older_records() -> None:
    old = {("lora", "solids"): [0.5], ("lora", "solids_hard"): [0.4]}
    both = pd.concat([frame(old), frame(old, recipe={"votes": 10})], ignore_index=True)
    recipes = [next(note for note in table.notes if note.startswith("Recipe")) for table in tables(both)]
    assert sorted("votes 10" in note for note in recipes) == [False, True]
    assert sorted(note.count("votes") for note in recipes) == [0, 1]
    assert not any("nan" in note for note in recipes)
    (alone,) = tables(frame(old))
    assert alone.notes[3] in recipes


def test_options_off_their_defaults_are_rows_of_their_own() -> None:
    wide = frame({("lora", "digits"): [0.5], ("lora", "count"): [0.5]}, set={"lora": {"rank": 16}})
    (table,) = tables(pd.concat([frame(ACCURACY), wide], ignore_index=True))
    assert set(table.cells.index) == {"lora", "linear", "lora rank=16"}


def test_other_data_of_a_task_is_never_averaged_in() -> None:
    other = frame({("lora", "digits"): [0.1]})
    other["spec.data_fingerprint"] = "f" * 64
    (table,) = tables(pd.concat([frame(ACCURACY), other], ignore_index=True))
    assert "lora data=ffffffff" in table.cells.index
    assert table.cells.loc["lora data=ffffffff", "digits"] == "10.0"


def test_latex_is_escaped() -> None:
    (table,) = tables(frame(ACCURACY))
    table.cells.index = pd.Index(["a_b", "c&d%"])
    text = formats.to_latex(table)
    assert "a\\_b" in text and "c\\&d\\%" in text and "$\\pm$" in text


def test_pareto_points_carry_the_95_percent_t_interval() -> None:
    (group,) = comparable(frame(ACCURACY))
    points = {point.name: point for point in pareto.points(group)}
    means = [100 * (a + b) / 2 for a, b in zip(ACCURACY["lora", "digits"], ACCURACY["lora", "count"], strict=True)]
    low, high = stats.t.interval(0.95, 2, loc=statistics.mean(means), scale=statistics.stdev(means) / math.sqrt(3))
    assert points["lora"].accuracy == pytest.approx(statistics.mean(means))
    assert points["lora"].error == pytest.approx((high - low) / 2)


def test_frontier_holds_exactly_the_points_that_none_beats() -> None:
    made = [
        pareto.Point(n, p, a, 0.0)
        for n, p, a in [("a", 0, 50), ("b", 10, 40), ("c", 20, 60), ("d", 20, 55), ("e", 30, 60)]
    ]
    beaten = {
        p.name
        for p in made
        for q in made
        if q.params <= p.params
        and q.accuracy >= p.accuracy
        and q is not p
        and (q.params < p.params or q.accuracy > p.accuracy)
    }
    assert {p.name for p in pareto.frontier(made)} == {"a", "b", "c", "d", "e"} - beaten == {"a", "c"}


def test_plot_is_written_in_three_formats_and_its_svg_is_repeatable(tmp_path: Path) -> None:
    paths = pareto.write(comparable(frame(ACCURACY)), tmp_path / "one")
    again = pareto.write(comparable(frame(ACCURACY)), tmp_path / "two")
    assert [path.name for path in paths] == ["pareto.png", "pareto.svg", "pareto.pdf"]
    assert paths[1].read_bytes() == again[1].read_bytes()


def test_of_many_points_a_plot_numbers_the_frontier_and_lists_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pareto, "MOST_NAMED", 2)
    beaten = {("norm", "digits"): [0.1], ("norm", "count"): [0.1]}
    text = pareto.write(comparable(frame({**ACCURACY, **beaten})), tmp_path)[1].read_text()
    assert "1 linear" in " ".join(text.split()) and "2 lora" in " ".join(text.split())
    assert "norm" not in text


@pytest.mark.parametrize("verb", [leaderboard.main, pareto_command.main])
def test_no_records_is_one_line(verb: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb(["--results", str(tmp_path)]) == 2  # type: ignore[operator]
    assert capsys.readouterr().err.startswith("error: no run records below")


@pytest.mark.skipif(find_spec("peft") is None, reason="Hugging Face PEFT is not installed")
def test_a_bridged_method_is_named_by_what_differs_from_its_defaults() -> None:
    specs = sweep.specs(
        sweep.Sweep(methods=("hf:lora", "lora"), tasks=("digits",), set={"hf:lora": {"r": [8, 4]}}), "float32"
    )
    records = [record(spec, 0.5, 100) for spec in specs]
    (table,) = tables(reader.to_frame(records))
    assert set(table.cells.index) == {"hf:lora", "hf:lora r=4", "lora"}


def test_published_numbers_stand_beside_ours_with_their_rule() -> None:
    sweeps = sweep.Sweep(suite="vtab1k", methods=("lora", "norm"), backbone=("vit_nano",))
    records = [record(spec, 0.5, 100) for spec in sweep.specs(sweeps, "float32", absent=True)]
    (table,) = tables(reader.to_frame(records))
    assert dict(table.cells["published"]) == {"lora": "mean 72.25, group mean 74.60; rule best_test", "norm": "-"}
    (own,) = tables(frame(ACCURACY))
    assert "published" not in own.cells


def test_many_options_get_a_letter_and_a_note() -> None:
    options = {"rank": 2, "alpha": 3.0, "weight_decay": 0.1, "lr": 0.5}
    frames = [frame(ACCURACY), frame({("lora", "digits"): [0.8]}, set={"lora": options})]
    (table,) = tables(pd.concat(frames, ignore_index=True))
    assert set(table.cells.index) == {"lora", "linear", "lora [a]"}
    assert table.notes[-1] == "lora [a]: alpha=3.0 lr=0.5 rank=2 weight_decay=0.1."


def test_searches_have_a_table_of_their_cost() -> None:
    found = frame({("norm", "digits"): [0.5, 0.7]})
    search = {"subnets": 110, "seconds": 0.1, "params": 900, "val_accuracy": 0.71}
    other = {"subnets": 114, "seconds": 0.3, "params": 1100, "val_accuracy": 0.72}
    reports = [
        {"supernet": {"steps": 300, "seconds": 0.5}, "search": search},
        {"supernet": {"steps": 300, "seconds": 0.3}, "search": other},
    ]
    both = pd.concat([frame(ACCURACY), found.assign(report=list(map(json.dumps, reports)))], ignore_index=True)
    _, table = tables(both)
    assert table.title == "offline: what searches cost, image"
    assert list(table.cells.index) == ["norm on digits"]
    cells = ["2", "300", "0", "112", "0", "60", "1,000", "71.5"]
    assert list(table.cells.loc["norm on digits"]) == cells
