"""Accuracy against shots: the mean over sets and seeds per number of shots; versions of a suite are never mixed."""

import statistics
from dataclasses import replace

import pytest

from benchmarks import suites
from benchmarks.figures import shots as figure
from benchmarks.suites import fewshot
from benchmarks.sweeps import sweep
from benchmarks.tables import published as beside
from benchmarks.tables.leaderboard import of_groups
from benchmarks.tables.reader import to_frame
from benchmarks.tables.rows import comparable
from benchmarks.tables.shots import shots
from tests.support.made_records import record

SETS, SHOTS = ("aircraft", "food", "flowers", "pets", "cars"), (1, 4, 16)


def accuracy(name, n, seed, method):
    return 0.3 + 0.02 * SETS.index(name) + 0.01 * n + 0.003 * seed**2 + 0.05 * (method == "lora")


def records(seeds=(0, 1, 2), **changes):
    tasks = tuple(f"{name}@{n}" for name in SETS for n in SHOTS)
    asked = sweep.Sweep(methods=("linear", "lora"), suite="fewshot", tasks=tasks, backbone=("vit_nano",), seeds=seeds)
    made = []
    for spec in sweep.specs(asked, "float32", absent=True):
        name, _, n = spec.task.partition("@")
        spec = replace(spec, data_fingerprint=f"{spec.task} {spec.seed}", **changes)  # as drawn anew for every seed
        made.append(record(spec, accuracy(name, int(n), spec.seed, spec.method), 9))
    return made


def test_a_cell_is_the_mean_over_sets_and_the_deviation_over_seeds():
    (group,) = comparable(to_frame(records()))
    (table,) = shots(group)
    assert table.title == "fewshot: accuracy against shots, image, vit_nano"
    assert list(table.cells.index) == ["lora", "linear"]
    for method, row in table.cells.iterrows():
        for n in SHOTS:
            seeds = [100 * statistics.fmean(accuracy(name, n, seed, method) for name in SETS) for seed in range(3)]
            assert row[f"{n}-shot"] == f"{statistics.fmean(seeds):.1f} ± {statistics.stdev(seeds):.1f}"
    assert "1-shot mean 40.9 (figure or quote), 16-shot mean 75.3" in table.cells.loc["lora", "published"]
    assert "the mean over 5 sets" in table.notes[0]
    assert [made.title for made in of_groups([group])][:2] == ["fewshot: image, vit_nano", table.title]


def test_a_seed_that_lacks_a_set_does_not_count_for_these_shots():
    some = [one for one in records() if (one["spec"]["task"], one["spec"]["seed"]) != ("pets@4", 2)]
    (table,) = shots(comparable(to_frame(some))[0])
    two = [100 * statistics.fmean(accuracy(name, 4, seed, "linear") for name in SETS) for seed in range(2)]
    assert table.cells.loc["linear", "4-shot"] == f"{statistics.fmean(two):.1f} ± {statistics.stdev(two):.1f}"


def test_there_is_no_table_and_no_figure_without_shots(tmp_path):
    asked = sweep.Sweep(methods=("linear",), tasks=("digits",))
    (group,) = comparable(to_frame([record(spec, 0.5, 9) for spec in sweep.specs(asked, "float32")]))
    assert shots(group) == figure.write([group], tmp_path) == []


def test_the_figure_has_one_line_per_method_and_the_numbers_of_papers(tmp_path):
    (group,) = comparable(to_frame(records()))
    printed = {method: dict(accuracies) for method, accuracies in figure.papers(group).items()}
    assert printed["pace"] == {1: 46.2, 16: 81.9} and len(printed) == 6
    names = [path.name for path in figure.write([group], tmp_path)]
    assert names == ["shots.png", "shots.svg", "shots.pdf"]


def test_two_versions_of_a_suite_have_tables_of_their_own(monkeypatch):
    both = records(seeds=(0,)) + records(seeds=(0, 1), suite_version=2)
    assert "suite_version" not in both[0]["spec"] and both[-1]["spec"]["suite_version"] == 2
    groups = comparable(to_frame(both))
    assert [(group["suite"].iloc[0], len(group)) for group in groups] == [("fewshot", 30), ("fewshot version 2", 60)]
    titles = [table.title for table in of_groups(groups)]
    assert titles[:2] == ["fewshot: image, vit_nano", "fewshot version 2: image, vit_nano"]
    beside_papers = beside.table("fewshot", groups)
    assert list(beside_papers.cells.query("source == 'ours'")["seeds"]) == ["1", "1"]
    assert "Runs on fewshot version 2 are not shown here; the leaderboard has a table of them." in beside_papers.notes
    monkeypatch.setattr(fewshot, "SUITE", replace(suites.get("fewshot"), version=2))
    assert list(beside.table("fewshot", groups).cells.query("source == 'ours'")["seeds"]) == ["2", "2"]


@pytest.mark.parametrize("version", [1, 2])
def test_the_version_of_a_suite_is_part_of_the_key_unless_it_is_the_first(version, monkeypatch):
    asked = sweep.Sweep(methods=("linear",), suite="fewshot", tasks=("pets@1",), backbone=("vit_nano",))
    (first,) = sweep.specs(asked, "float32", absent=True)
    monkeypatch.setattr(fewshot, "SUITE", replace(suites.get("fewshot"), version=version))
    (spec,) = sweep.specs(asked, "float32", absent=True)
    assert (spec.key == first.key) == ("suite_version" not in spec.to_json()) == (version == 1)
