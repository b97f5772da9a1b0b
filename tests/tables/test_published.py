"""The published numbers that are shown beside ours: aggregates that papers print come out of their cells."""

from __future__ import annotations

import csv
import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks import leaderboard, published, suites
from benchmarks.figures import published as figure
from benchmarks.records import store
from benchmarks.suites import offline
from benchmarks.sweeps import sweep
from benchmarks.tables import published as beside
from benchmarks.tables.rows import comparable
from methods.errors import UserError
from tests.support.made_records import record

VIT = "vit_base_patch16_224.orig_in21k"
GROUPS = {
    "natural": ["cifar100", "caltech101", "dtd", "flowers102", "pets", "svhn", "sun397"],
    "specialized": ["camelyon", "eurosat", "resisc45", "retinopathy"],
    "structured": [
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ],
}
TASKS = [task for members in GROUPS.values() for task in members]


@pytest.mark.parametrize(
    ("method", "mean", "group_mean"),
    [
        ("full", 65.57, 68.97),
        ("linear", 52.94, 57.64),
        ("adapter", 71.44, 73.86),
        ("lora", 72.25, 74.60),
        ("noah", 73.25, 75.48),
    ],
)
def test_v_petl_benchs_means_come_out_of_its_cells(method: str, mean: float, group_mean: float) -> None:
    found = published.find("vtab1k", method, backbone=VIT, augment="none")
    cells = found[found["task"] != "group mean"].set_index("task")["accuracy"]
    assert set(cells.index) == {task for members in GROUPS.values() for task in members}
    assert cells.mean() == pytest.approx(mean, abs=0.005)
    by_group = [cells[members].mean() for members in GROUPS.values()]
    assert sum(by_group) / 3 == pytest.approx(group_mean, abs=0.005)
    text = published.summary(found, GROUPS)
    assert text == f"mean {mean:.2f}, group mean {group_mean:.2f}; rule best_test"


def test_every_number_names_its_source_and_rule() -> None:
    table = published.numbers()
    assert (
        not table[["suite", "method", "task", "accuracy", "backbone", "augment", "checkpoint_rule", "source"]]
        .isna()
        .any(axis=None)
    )
    assert set(table["suite"]) == {"vtab1k", "scanobjectnn", "modelnet40"}
    assert set(table["checkpoint_rule"]) == {"best_test", "unknown"}
    assert table["accuracy"].between(1, 100).all()
    assert len(table) == 437 + 84 + 13 + 1


@pytest.mark.parametrize(
    ("suite", "method", "backbone", "augment", "tasks", "expected"),
    [
        (
            "scanobjectnn",
            "full",
            "point_mae@w.pth",
            "scale_translate",
            ["obj_bg", "pb_t50_rs"],
            "obj_bg 90.02, pb_t50_rs 85.18; rule best_test",
        ),
        ("scanobjectnn", "adapterx", "point_mae", "rotate", ["pb_t50_rs"], "pb_t50_rs 88.45; rule unknown"),
        ("modelnet40", "full", "point_mae_1k", "scale_translate", ["modelnet40"], "modelnet40 93.20; rule best_test"),
        ("scanobjectnn", "lora", "point_mae", "rotate", ["pb_t50_rs"], ""),
        ("scanobjectnn", "full", "point_nano", "rotate", ["pb_t50_rs"], ""),
    ],
)
def test_points_are_of_the_same_backbone_and_augmentation(
    suite: str, method: str, backbone: str, augment: str, tasks: list[str], expected: str
) -> None:
    found = published.find(suite, method, backbone=backbone, augment=augment)
    assert published.summary(found, {"all": tasks}) == expected


def test_what_only_a_figure_shows_is_marked() -> None:
    found = published.find("vtab1k", "adapterx", backbone=VIT, augment="none")
    assert published.summary(found, GROUPS) == "group mean 76.2 (figure or quote); rule unknown"
    found = published.find("vtab1k", "mosa", backbone=VIT, augment="none")
    assert published.summary(found, GROUPS) == "group mean 71.4 (figure or quote); rule unknown"


def cells_of_the_file() -> dict[str, dict[str, float]]:
    """method -> task -> accuracy of V-PETL Bench's rows, read without pandas."""
    with (published.FOLDER / "vtab1k.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["source"].startswith("V-PETL Bench")]
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        found.setdefault(row["method"], {})[row["task"]] = float(row["accuracy"])
    return found


def params_of_the_file() -> dict[str, float]:
    with (published.FOLDER / "vtab1k.csv").open() as file:
        return {row["method"]: float(row["params_m"] or "nan") for row in csv.DictReader(file)}


def test_the_table_has_all_twenty_means_and_ppt_of_v_petl_bench() -> None:
    table = beside.table("vtab1k", [])
    theirs = table.cells[(table.cells["from"] == "paper [1]")]
    expected = cells_of_the_file()
    assert len(expected) == 20 and set(theirs.index) == set(expected)
    for method, cells in expected.items():
        assert set(cells) == {task for members in GROUPS.values() for task in members}
        row, mean = theirs.loc[method], statistics.fmean(cells.values())
        groups = [statistics.fmean(cells[task] for task in members) for members in GROUPS.values()]
        assert float(row["mean"]) == pytest.approx(mean, abs=0.0051)
        assert float(row["group mean"]) == pytest.approx(statistics.fmean(groups), abs=0.0051)
        params = params_of_the_file()[method] * 1e6
        score = mean / 100 * math.exp(-math.log10(params / 1e7 + 1))
        assert float(row["PPT"]) == pytest.approx(score, abs=0.00051)
        assert (row["rule"], row["aggregate"], row["seeds"]) == ("best_test", "19 tasks", "not said")


def test_a_paper_that_shows_an_aggregate_alone_has_that_alone() -> None:
    row = beside.table("vtab1k", []).cells.query("`from` == 'paper [5]'").loc["adapterx"]
    shown = {name: cell for name, cell in row.items() if cell != "-"}
    assert shown == {
        "from": "paper [5]",
        "rule": "unknown",
        "aggregate": "mean of three group means",
        "seeds": "not said",
        "group mean": "76.2",
        "params": "0.2 %",
    }


@pytest.mark.parametrize(
    ("suite", "rows"), [("vtab1k", 20 + 3 + 10 + 1), ("scanobjectnn", 20 + 2 + 3), ("modelnet40", 18)]
)
def test_every_published_number_is_in_its_suites_table_and_none_is_marked(suite: str, rows: int) -> None:
    table = beside.table(suite, [])
    assert len(table.cells) == rows
    there = published.numbers().query("suite == @suite")
    tasks = sorted(set(there["task"]) - {"group mean"})
    assert sum((table.cells[task] != "-").sum() for task in tasks) == there["task"].isin(tasks).sum() > 0
    assert table.values.isna().all(axis=None)


def ours(
    suite: str, methods: dict[str, tuple[int, int]], tasks: tuple[str, ...] = (), **asked: Any
) -> list[pd.DataFrame]:
    """Comparable runs of three seeds; a run's accuracy is 0.5 and a hundredth for each place of task and seed."""
    chosen = sweep.Sweep(suite=suite, methods=tuple(methods), tasks=tasks, seeds=(0, 1, 2), **asked)
    specs = sweep.specs(chosen, "float32", absent=True)
    order = list(dict.fromkeys(spec.task for spec in specs))
    records = []
    for spec in specs:
        made = record(spec, 0.5 + 0.01 * order.index(spec.task) + 0.001 * spec.seed**2, methods[spec.method][0])
        made["params"] |= {"head": methods[spec.method][1], "backbone": 85_800_000}  # type: ignore[operator]
        records.append(made)
    return comparable(pd.json_normalize(records))


def test_our_rows_stand_beside_theirs_with_their_rule_and_the_same_aggregates() -> None:
    table = beside.table("vtab1k", ours("vtab1k", {"lora": (290_000, 36_000)}, backbone=("vit_nano",)))
    (row,) = (cells for _, cells in table.cells[table.cells["from"] == "here"].iterrows())
    assert (row["rule"], row["seeds"], row["aggregate"], row["backbone"]) == ("last", "3", "19 tasks", "vit_nano")
    mean = statistics.fmean(50 + place + 0.1 * seed**2 for place in range(19) for seed in range(3))
    assert row["mean"].startswith(f"{mean:.1f} ± ")
    assert row["params"] == "0.29 M"
    assert set(table.cells["backbone"]) == {"vit_nano", VIT}


def test_our_means_over_fewer_tasks_than_theirs_are_not_shown_as_such() -> None:
    table = beside.table("vtab1k", ours("vtab1k", {"lora": (9, 1)}, ("dtd", "kitti"), backbone=("vit_nano",)))
    (row,) = (cells for _, cells in table.cells[table.cells["from"] == "here"].iterrows())
    assert row["aggregate"] == "2 tasks" and row["dtd"].startswith("50.2 ± ")
    assert (row[["mean", "group mean", "natural mean", "PPT", "svhn"]] == "-").all()


def test_on_points_our_parameters_count_the_head_as_theirs_do() -> None:
    table = beside.table("scanobjectnn", ours("scanobjectnn", {"dapt": (830_000, 270_000)}, backbone=("point_mae",)))
    (row,) = (cells for _, cells in table.cells[table.cells["from"] == "here"].iterrows())
    assert (row["params"], row["augment"], row["backbone"]) == ("1.10 M", "rotate", "point_mae")
    assert "mean" not in table.cells and "PPT" not in table.cells


def test_the_figure_has_the_papers_points_and_ours() -> None:
    groups = [
        *ours("vtab1k", {"lora": (290_000, 36_000), "linear": (0, 42_900)}, backbone=("vit_nano",)),
        *ours("scanobjectnn", {"dapt": (830_000, 270_000)}, backbone=("point_mae",)),
        *ours("vtab1k", {"lora": (1, 1)}, ("dtd",), backbone=("vit_nano",), recipe={"epochs": 50}),  # no mean of 19
    ]
    paper, own = figure.series("vtab1k", groups)
    assert dict(zip(paper.names, zip(paper.x, paper.y, strict=True), strict=True)) == {
        "linear": (0.05, 57.6),
        "bitfit": (0.12, 65.2),
        "vpt_deep": (0.62, 72.0),
        "lora": (0.34, 74.5),
        "ssf": (0.28, 75.7),
        "adapter": (1.39, 74.2),
        "adaptformer": (1.47, 76.0),
        "adapterx_sequential": (0.2, 74.3),
        "adapterx": (0.2, 76.2),
        "full": (100, 68.9),
    }
    # alone on the head's parameters, as in the paper
    assert dict(zip(own.names, own.x, strict=True)) == pytest.approx({"lora": 100 * 0.29 / 85.8, "linear": 0.05})
    by_group = [[50 + TASKS.index(task) for task in members] for members in GROUPS.values()]
    seeds = [statistics.fmean(map(statistics.fmean, by_group)) + 0.1 * seed**2 for seed in range(3)]
    assert own.y == pytest.approx([statistics.fmean(seeds)] * 2)
    assert own.error == pytest.approx([4.3027 * statistics.stdev(seeds) / math.sqrt(3)] * 2, rel=1e-4)
    paper, own = figure.series("scanobjectnn", groups)
    assert paper.names == ["full", "dapt", "adapterx"]
    assert own.x == pytest.approx([100 * 1.1 / (85.8 + 0.27)])
    assert own.label == "here: point_mae, augment rotate, rule last, seeds 3"


def test_the_command_writes_table_and_figure_without_any_record(tmp_path: Path) -> None:
    assert leaderboard.main(["--results", str(tmp_path), "--published", "scanobjectnn"]) == 0
    names = {path.name for path in (tmp_path / "published").iterdir()}
    assert names == {
        "scanobjectnn.md",
        "scanobjectnn.csv",
        *(f"adapterx_figure1.{end}" for end in ("png", "svg", "pdf")),
    }
    assert "There are no run records of ours on scanobjectnn." in (tmp_path / "published/scanobjectnn.md").read_text()
    assert not (tmp_path / "leaderboard.md").exists()


def test_a_suite_without_published_numbers_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leaderboard.main(["--results", str(tmp_path), "--published", "vtab"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "error: unknown suite with published numbers 'vtab'; did you mean 'vtab1k'? "
        "known: modelnet40, scanobjectnn, vtab1k\n"
    )


def test_a_suite_may_have_published_numbers_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = "solids-suite,points,solids,lora,81.5,point_nano,none,last,A paper\n"
    (tmp_path / "own.csv").write_text(f"{','.join(published.COLUMNS)}\n{row}")
    own = replace(suites.get("offline"), name="solids-suite", published=(tmp_path / "own.csv",))
    monkeypatch.setattr(offline, "SUITE", own)
    monkeypatch.setitem(suites.SUITES, "solids-suite", "benchmarks.suites.offline:SUITE")
    monkeypatch.delitem(suites.SUITES, "offline")
    beside.check("solids-suite")
    (cells,) = beside.table("solids-suite", []).cells.to_dict("records")
    assert (cells["solids"], cells["from"], cells["rule"]) == ("81.5", "paper [1]", "last")
    found = published.find("solids-suite", "lora", own.published, backbone="point_nano", augment="none")
    assert published.summary(found, {"clean": ["solids"]}) == "solids 81.50; rule last"


def test_a_file_of_published_numbers_without_a_column_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("suite,task\nx,y\n")
    with pytest.raises(UserError, match=r"own\.csv has no column modality, method, accuracy"):
        published.numbers((tmp_path / "own.csv",))
    with pytest.raises(UserError, match=r"cannot read the published numbers in .*none\.csv"):
        published.numbers((tmp_path / "none.csv",))


def test_committed_tables_are_those_of_the_numbers_and_records() -> None:
    committed = Path(__file__).parents[2] / "results"
    groups = comparable(store.load(committed))
    for suite in ("vtab1k", "scanobjectnn", "modelnet40"):
        made = beside.table(suite, groups)
        assert leaderboard.to_csv([made]) == (committed / "published" / f"{suite}.csv").read_text()
        assert (committed / "published" / f"{suite}.md").read_text().startswith(leaderboard.to_markdown(made))
