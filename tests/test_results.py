"""What is committed under results/ and shown in READMEs comes from the committed records."""

import re
from itertools import chain
from pathlib import Path

import pytest

import methods
from benchmarks import leaderboard
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from benchmarks.tables import formats, reader, tidy
from benchmarks.tables.leaderboard import tables
from benchmarks.tables.rows import comparable
from benchmarks.tuning import tuned
from methods.source import digest
from tests.support import quick_suite

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT / "results", *(path.parent for path in sorted((ROOT / "results").glob(f"*/{store.RUNS}")))]
CONFIGS = ROOT / "benchmarks" / "configs"
RECORDED = {  # by a folder of results, the sweep files whose records it holds
    "": ("offline", "offline_search"),
    "adapterx_ablation": ("adapterx_ablation",),
    "tuned": ("tuned",),
}
SUMMARY = re.compile(
    r"(?ms)^    python -m benchmarks\.leaderboard ([^\n]*)\n\n<!-- summary -->\n(.*?)<!-- end of summary -->"
)
EACH = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


@EACH
def test_committed_tables_are_those_of_the_committed_records(folder):
    made = tables(reader.load(folder))
    assert formats.to_page(made) == (folder / "leaderboard.md").read_text()
    for name, text in tidy.files(comparable(reader.load(folder))).items():
        assert text == (folder / name).read_text()
    assert formats.to_tex(made) == (folder / "leaderboard.tex").read_text()


@pytest.mark.parametrize("page", ["README.md", "results/README.md", "results/tuned/README.md"])
def test_pages_show_the_summaries_that_their_commands_print(page, monkeypatch, capsys):
    found = SUMMARY.findall((ROOT / page).read_text())
    assert found
    monkeypatch.chdir(ROOT)
    for command, shown in found:
        assert leaderboard.main(command.split()) == 0
        assert shown.strip() == capsys.readouterr().out.strip()


def test_the_short_tables_of_real_data_are_parts_of_the_leaderboard():
    folder = ROOT / "results" / "realdata"
    whole = cells(folder / "leaderboard.md")
    for short in cells(folder / "README.md"):
        (table,) = [rows for rows in whole if set(next(iter(short.values()))) <= set(next(iter(rows.values())))]
        assert len(short) > 3
        for method, shown in short.items():
            (row,) = [name for name in table if name.partition(" tuned")[0] == method]
            assert shown == {column: table[row][column] for column in shown}


def cells(page):
    """The cells of every table of methods on a page, by row and column, without bold type."""
    tables = re.finditer(r"(?m)^\| method .*\n\|[-:| ]+\|\n((?:\|.*\n)+)", page.read_text())
    found = []
    for table in tables:
        head, _, *lines = ([cell.strip(" *") for cell in line.strip("|").split("|")] for line in table[0].splitlines())
        found.append({name: dict(zip(head[1:], values, strict=True)) for name, *values in lines})
    return found


@EACH
def test_every_committed_record_has_its_own_key_and_committed_code(folder):
    for record in store.records(folder):
        assert Spec.from_json(record["spec"]).key == record["key"]
        assert not record["environment"]["dirty"]


@pytest.mark.parametrize("folder", [*FOLDERS, quick_suite.FOLDER], ids=lambda folder: folder.name)
def test_no_committed_record_is_of_other_code_of_its_method(folder):
    stale = {
        record["spec"]["method"]
        for record in store.records(folder)
        if record.get("method_digest") not in (None, digest(methods.get(record["spec"]["method"])))
    }
    assert not stale, "their records must be made anew"


@pytest.mark.usefixtures("no_passes")
@pytest.mark.parametrize("folder", RECORDED)
def test_committed_records_are_exactly_those_of_their_commands(folder):
    asked = [
        spec
        for config in RECORDED[folder]
        for spec in sweep.specs(sweep.from_file(CONFIGS / f"{config}.yaml"), "float32")
    ]
    results = ROOT / "results" / folder
    chosen = results / tuned.CONFIGS
    if chosen.exists():
        asked = tuned.apply(asked, chosen)
    assert {record["key"] for record in store.records(results)} == {spec.key for spec in asked}


@pytest.mark.usefixtures("no_passes")
@pytest.mark.parametrize(
    "config", sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem not in chain(*RECORDED.values()))
)
def test_sweep_files_without_records_are_valid(config):
    assert sweep.specs(sweep.from_file(CONFIGS / f"{config}.yaml"), "float32", absent=True)
