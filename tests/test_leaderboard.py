"""The commands that read records: leaderboard, pareto and ranks, on copies of committed records."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import leaderboard, pareto, ranks
from benchmarks.records import store

Complaint = Callable[..., str]
EACH = pytest.mark.parametrize("verb", [leaderboard.main, pareto.main, ranks.main], ids=lambda main: main.__module__)


@pytest.fixture
def results(root: Path, tmp_path: Path) -> Path:
    """A results folder with the committed records of one task."""
    shutil.copytree(root / "results" / store.RUNS / "offline" / "digits", tmp_path / store.RUNS / "offline" / "digits")
    return tmp_path


def test_the_leaderboard_shows_its_tables_and_names_every_file(results, capsys):
    assert leaderboard.main(["--results", str(results)]) == 0
    out = capsys.readouterr().out
    tables = {results / f"leaderboard.{ending}" for ending in ("md", "csv", "tex", "html")}
    plots = {results / "figures" / f"pareto.{ending}" for ending in ("png", "svg", "pdf")}
    (line,) = (line for line in out.splitlines() if line.startswith("written: "))
    written = {Path(name) for name in line.removeprefix("written: ").split(", ")}
    others = {results / name for name in ("runs.parquet", "costs.csv", "searches.csv")}
    assert written == {*tables, *plots, *others}
    assert all(path.stat().st_size for path in written)
    assert "offline version 2: image, vit_nano" in out


@EACH
def test_no_records_is_one_line(verb, tmp_path, complaint):
    assert complaint(verb, "--results", str(tmp_path)).startswith(f"no run records below {tmp_path / store.RUNS};")


@EACH
def test_an_unknown_suite_is_one_line(verb, results, complaint):
    line = complaint(verb, "--results", str(results), "--suite", "ofline")
    assert "unknown suite 'ofline'; did you mean 'offline'?" in line


@pytest.mark.parametrize("verb", [leaderboard.main, pareto.main], ids=lambda main: main.__module__)
def test_a_bad_record_is_one_warning_and_the_command_goes_on(verb, results, capsys):
    path = next(results.rglob("lora-*.json"))
    path.write_text(path.read_text().replace("lora", "linear", 1))
    assert verb(["--results", str(results)]) == 0
    fault = "its digest is not that of its content: it was edited or damaged"
    assert capsys.readouterr().err == f"warning: record {path}: {fault}; it is left out\n"


def test_an_output_path_that_is_a_folder_is_one_line(results, capsys):
    (results / "leaderboard.csv").mkdir()
    assert leaderboard.main(["--results", str(results)]) == 2
    line = f"error: cannot write {results / 'leaderboard.csv'}: is a directory. Correct that and run the command again."
    assert capsys.readouterr().err == line + "\n"


@pytest.mark.parametrize("below", ["figures", "runs/offline/linked"])
@EACH
def test_nothing_is_written_through_a_folder_that_is_a_link(verb, below, results, tmp_path_factory, complaint):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (results / below).symlink_to(elsewhere)
    line = complaint(verb, "--results", str(results))
    assert line == f"{results / below}: a link to a folder, and results are not written through a link; remove it"
    assert not any(elsewhere.iterdir())


def test_the_results_folder_itself_may_be_a_link(results, tmp_path_factory):
    link = tmp_path_factory.mktemp("links") / "results"
    link.symlink_to(results)
    assert pareto.main(["--results", str(link)]) == 0
    assert (results / "figures" / "pareto.png").is_file()
