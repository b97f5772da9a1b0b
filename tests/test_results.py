"""What is committed under results/ and shown in the README comes from the committed records."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import leaderboard, store, sweep

ROOT = Path(__file__).parents[1]


def test_committed_tables_are_those_of_the_committed_records(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "results" / store.RUNS, tmp_path / store.RUNS)
    for path in leaderboard.write(tmp_path):
        assert path.read_text() == (ROOT / "results" / path.name).read_text()


def test_readme_shows_the_committed_leaderboard() -> None:
    text = (ROOT / "README.md").read_text()
    shown = text.split("<!-- leaderboard -->")[1].split("<!-- end of leaderboard -->")[0]
    assert shown.strip() == (ROOT / "results" / "leaderboard.md").read_text().strip()


def test_every_committed_record_is_under_its_own_key() -> None:
    from benchmarks.spec import Spec

    for record in store.records(ROOT / "results"):
        assert Spec.from_json(record["spec"]).key == record["key"]


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks" / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_sweep_files_are_valid(path: Path) -> None:
    assert sweep.specs(sweep.from_file(path), "float32", absent=True)
