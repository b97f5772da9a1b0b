"""Published numbers beside ours: their means equal those that the papers print, and every number has its source."""

from __future__ import annotations

import csv
import math
import statistics
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import leaderboard, published, suites
from benchmarks.figures import published as figure
from benchmarks.suites import offline
from benchmarks.sweeps import sweep
from benchmarks.tables import formats
from benchmarks.tables import published as beside
from benchmarks.tables.reader import load, to_frame
from benchmarks.tables.rows import comparable
from benchmarks.tables.table import Table
from methods.errors import UserError
from tests.support.made_records import record

VIT = "vit_base_patch16_224.orig_in21k"
AUGREG = "vit_base_patch16_224.augreg_in21k"
SWIN, CONVNEXT = "swin_base_patch4_window7_224.ms_in22k", "convnext_base.fb_in22k"
OF_VPT = {"full", "linear", "bitfit", "vpt_shallow", "vpt_deep"}  # these rows are VPT's: the last epoch of five seeds
GROUPS = {
    "natural": ["cifar100", "caltech101", "dtd", "flowers102", "pets", "svhn", "sun397"],
    "specialized": ["camelyon", "eurosat", "resisc45", "retinopathy"],
    "structured": [
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ],
}
SUITES = ("vtab1k", "fewshot", "fgvc", "imagenet_dg", "scanobjectnn", "modelnet40", "shapenetpart")
TASKS = [task for members in GROUPS.values() for task in members]


@pytest.mark.parametrize(
    ("method", "mean", "group_mean"),
    list(
        zip(
            ("full", "linear", "adapter", "lora", "noah"),
            (65.57, 52.94, 71.44, 72.25, 73.25),
            (68.97, 57.64, 73.86, 74.60, 75.48),
            strict=True,
        )
    ),
)
def test_the_means_of_v_petl_bench_equal_those_of_its_cells(method, mean, group_mean):
    found = published.find("vtab1k", method, backbone=VIT, augment="none")
    cells = found[found["task"] != "group mean"].set_index("task")["accuracy"]
    assert set(cells.index) == set(TASKS)
    assert cells.mean() == pytest.approx(mean, abs=0.005)
    by_group = [cells[members].mean() for members in GROUPS.values()]
    assert sum(by_group) / 3 == pytest.approx(group_mean, abs=0.005)
    text = published.summary(found, GROUPS)
    rule = "last" if method in OF_VPT else "best_test"
    assert text == f"mean {mean:.2f}, group mean {group_mean:.2f}; rule {rule}"


def test_every_number_names_its_source_and_rule():
    table = published.numbers()
    assert not table[list(published.COLUMNS)].isna().any(axis=None)
    assert set(table["suite"]) == set(SUITES)
    assert set(table["checkpoint_rule"]) == {"best_test", "best_val", "last", "unknown"}
    assert table["accuracy"].between(1, 100).all()
    assert len(table) == 437 + 89 + 13 + 81 + 42 + 12 + 9 + 50 + 5


def test_rows_on_images_have_the_rule_and_the_weights_of_their_papers():
    cells = published.numbers().query("suite == 'vtab1k' and task in @TASKS")
    rules = {(row.method, row.checkpoint_rule) for row in cells.itertuples()}
    weights = {(row.method, row.backbone) for row in cells.itertuples()}
    methods = set(cells["method"])
    assert rules == {(method, "last" if method in OF_VPT else "best_test") for method in methods}
    assert weights == {(method, AUGREG if method in ("ssf", "gps") else VIT) for method in methods}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("scanobjectnn full point_mae scale_translate", "obj_bg 90.02, pb_t50_rs 85.18; rule best_test"),
        ("scanobjectnn adapterx point_mae rotate", "pb_t50_rs 88.45; rule unknown"),
        ("modelnet40 full point_mae_1k scale_translate", "modelnet40 93.20; rule best_test"),
        ("scanobjectnn lora point_mae rotate", ""),
        ("scanobjectnn full point_nano rotate", ""),
    ],
)
def test_published_numbers_on_points_need_equal_backbone_and_augmentation(asked, expected):
    suite, method, backbone, augment = asked.split()
    found = published.find(suite, method, backbone=backbone, augment=augment)
    assert published.summary(found, {"all": ["obj_bg", "pb_t50_rs", "modelnet40"]}) == expected


@pytest.mark.parametrize(("method", "mean"), [("adapterx", "76.2"), ("mosa", "71.4")])
def test_a_number_from_a_figure_is_marked_as_such(method, mean):
    found = published.find("vtab1k", method, backbone=VIT, augment="none")
    assert published.summary(found, GROUPS) == f"group mean {mean} (figure or quote); rule unknown"


def test_the_table_has_all_twenty_means_and_ppt_of_v_petl_bench():
    expected: dict[str, dict[str, float]] = {}
    params = {}
    for line in csv.DictReader((published.FOLDER / "vtab1k.csv").read_text().splitlines()):  # without pandas
        if line["source"].startswith("V-PETL Bench"):
            expected.setdefault(line["method"], {})[line["task"]] = float(line["accuracy"])
            params[line["method"]] = 1e6 * float(line["params_m"])
    theirs = beside.table("vtab1k", []).cells.query("reference == '[1]'")
    assert len(expected) == 20 and set(theirs.index) == set(expected)
    for method, cells in expected.items():
        assert set(cells) == set(TASKS)
        row, mean = theirs.loc[method], statistics.fmean(cells.values())
        groups = [statistics.fmean(cells[task] for task in members) for members in GROUPS.values()]
        assert float(row["mean"]) == pytest.approx(mean, abs=0.0051)
        assert float(row["group mean"]) == pytest.approx(statistics.fmean(groups), abs=0.0051)
        score = mean / 100 * math.exp(-math.log10(params[method] / 1e7 + 1))
        assert float(row["PPT"]) == pytest.approx(score, abs=0.00051)
        rule = "last" if method in OF_VPT else "best_test"
        assert (row["rule"], row["aggregate"], row["seeds"]) == (rule, "19 tasks", "not said")


def test_the_row_of_a_paper_that_prints_only_a_group_mean_has_only_that():
    row = beside.table("vtab1k", []).cells.query("reference == '[5]'").loc["adapterx"]
    about = {
        "source": "paper",
        "reference": "[5]",
        "rule": "unknown",
        "aggregate": "mean of three group means",
        "seeds": "not said",
    }
    assert dict(row[row != "-"]) == {**about, "backbone": VIT, "group mean": "76.2", "params": "0.2 %"}


@pytest.mark.parametrize(
    ("suite", "rows"), [("vtab1k", 20 + 3 + 10 + 22 + 14), ("scanobjectnn", 20 + 2 + 3 + 2), ("modelnet40", 18 + 1)]
)
def test_every_published_number_is_in_the_table_of_its_suite(suite, rows):
    table = beside.table(suite, [])
    assert len(table.cells) == rows
    there = published.numbers().query("suite == @suite")
    tasks = sorted(set(there["task"]) & set(suites.get(suite).tasks))
    assert sum((table.cells[task] != "-").sum() for task in tasks) == there["task"].isin(tasks).sum() > 0


@pytest.mark.parametrize("suite", ["fewshot", "fgvc"])
def test_the_table_of_printed_means_is_that_of_its_file_to_the_cell(suite):
    (path,) = suites.get(suite).published
    lines = list(csv.DictReader(path.read_text().splitlines()))  # without pandas
    cells = beside.table(suite, []).cells
    expected: dict[str, dict[str, str]] = {}
    for line in lines:
        expected.setdefault(line["method"], {})[line["task"]] = line["accuracy"]
    means = [name for name in cells if str(name).endswith("mean")]
    assert {method: dict(row[row != "-"]) for method, row in cells[means].iterrows()} == expected
    assert len(lines) == {"fewshot": 6 * 2, "fgvc": 9}[suite]


def test_the_published_few_shot_means_are_those_that_are_quoted_most():
    cells = beside.table("fewshot", []).cells
    quoted = {"noah": ("41.0", "76.5"), "lora": ("40.9", "75.3"), "adapter": ("40.9", "73.2")}
    quoted |= {"vpt_deep": ("30.2", "72.0"), "glora": ("42.8", "79.1"), "pace": ("46.2", "81.9")}
    shown = {str(name): (row["1-shot mean"], row["16-shot mean"]) for name, row in cells.iterrows()}
    assert shown == quoted


def test_the_split_that_a_paper_trains_on_is_a_column():
    asked = {"backbone": ("vit_nano",), "recipe": {"train_split": "train"}}
    table = beside.table("fgvc", ours("fgvc", {"lora": (9, 1)}, **asked))
    assert here(table)["train_split"] == "train" and here(table)["mean"].startswith("52.2 ± ")
    assert dict(table.cells.query("reference == '[1]'")["train_split"]) == dict.fromkeys(
        ("vpt_deep", "full", "linear"), "train"
    )
    assert "train_split" not in beside.table("vtab1k", []).cells


def test_numbers_of_another_architecture_are_not_mixed_in():
    for backbone, expected in ((SWIN, {SWIN}), ("convnext_base", {CONVNEXT}), ("vit_nano", {VIT}), (AUGREG, {VIT})):
        found = published.find("vtab1k", "full", backbone=backbone, augment="none")
        assert set(found["backbone"]) == expected


def test_no_published_number_is_marked_as_the_best():
    assert not beside.table("vtab1k", []).best().any(axis=None)


def ours(
    suite: str, methods: dict[str, tuple[int, int]], tasks: tuple[str, ...] = (), **asked: Any
) -> list[pd.DataFrame]:
    """Comparable runs of three seeds, whose accuracy is 0.5 + 0.01 * task + 0.001 * seed².

    ``methods`` maps a name to the parameters of method and head.
    """
    chosen = sweep.Sweep(suite=suite, methods=tuple(methods), tasks=tasks, seeds=(0, 1, 2), **asked)
    specs = sweep.specs(chosen, "float32", absent=True)
    order = list(dict.fromkeys(spec.task for spec in specs))
    records = []
    for spec in specs:
        made = record(spec, 0.5 + 0.01 * order.index(spec.task) + 0.001 * spec.seed**2, methods[spec.method][0])
        made["params"] |= {"head": methods[spec.method][1], "backbone": 85_800_000}  # type: ignore[operator]
        records.append(made)
    return comparable(to_frame(records))


def here(table: Table) -> pd.Series[str]:
    (place,) = np.flatnonzero(table.cells["source"] == "ours")
    return table.cells.iloc[place]


def test_our_rows_have_their_rule_and_the_aggregates_of_the_papers():
    table = beside.table("vtab1k", ours("vtab1k", {"lora": (290_000, 36_000)}, backbone=("vit_nano",)))
    row = here(table)
    assert (row["rule"], row["seeds"], row["aggregate"], row["backbone"]) == ("last", "3", "19 tasks", "vit_nano")
    mean = statistics.fmean(50 + place + 0.1 * seed**2 for place in range(19) for seed in range(3))
    assert row["mean"].startswith(f"{mean:.1f} ± ")
    assert row["params"] == "0.29 M"
    assert set(table.cells["backbone"]) == {"vit_nano", VIT, AUGREG, SWIN, CONVNEXT}


def test_our_means_over_fewer_tasks_than_the_papers_are_not_shown():
    row = here(beside.table("vtab1k", ours("vtab1k", {"lora": (9, 1)}, ("dtd", "kitti"), backbone=("vit_nano",))))
    assert row["aggregate"] == "2 tasks" and row["dtd"].startswith("50.2 ± ")
    assert (row[["mean", "group mean", "natural mean", "PPT", "svhn"]] == "-").all()


def test_a_mark_of_a_run_at_chance_is_explained():
    groups = ours("vtab1k", {"lora": (9, 1)}, ("dtd", "kitti"), backbone=("vit_nano",))
    explained = [line for line in beside.table("vtab1k", groups).notes if line.startswith("†: ")]
    assert not explained
    groups[0]["accuracy.test"] = 0.0
    table = beside.table("vtab1k", groups)
    assert "†" in here(table)["dtd"]
    assert len([line for line in table.notes if line.startswith("†: ")]) == 1


def test_on_points_our_parameters_count_the_head_as_in_the_papers():
    table = beside.table("scanobjectnn", ours("scanobjectnn", {"dapt": (830_000, 270_000)}, backbone=("point_mae",)))
    row = here(table)
    assert (row["params"], row["augment"], row["backbone"]) == ("1.10 M", "rotate", "point_mae")
    assert "mean" not in table.cells and "PPT" not in table.cells
    assert "frozen BatchNorm" not in table.cells


def test_adapted_statistics_are_a_column_beside_the_papers():
    asked = {"backbone": ("point_mae",), "recipe": {"frozen_batchnorm": "adapt"}}
    table = beside.table("scanobjectnn", ours("scanobjectnn", {"dapt": (830_000, 270_000)}, **asked))
    assert here(table)["frozen BatchNorm"] == "adapt"
    assert set(table.cells["source"]) == {"ours", "paper"} and here(table)["reference"] == "-"
    assert set(table.cells["frozen BatchNorm"]) == {"adapt", "-"}


@pytest.fixture(scope="module")
def groups() -> list[pd.DataFrame]:
    return [
        *ours("vtab1k", {"lora": (290_000, 36_000), "linear": (0, 42_900)}, backbone=("vit_nano",)),
        *ours("scanobjectnn", {"dapt": (830_000, 270_000)}, backbone=("point_mae",)),
        *ours("vtab1k", {"lora": (1, 1)}, ("dtd",), backbone=("vit_nano",), recipe={"epochs": 50}),
    ]


def test_the_figure_has_the_points_of_the_paper(groups):
    paper = figure.series("vtab1k", groups)[0]
    methods = "linear bitfit vpt_deep lora ssf adapter adaptformer adapterx_sequential adapterx full"
    assert sorted(zip(paper.names, paper.x, paper.y, strict=True)) == sorted(
        zip(
            methods.split(),
            [0.05, 0.12, 0.62, 0.34, 0.28, 1.39, 1.47, 0.2, 0.2, 100],
            [57.6, 65.2, 72.0, 74.5, 75.7, 74.2, 76.0, 74.3, 76.2, 68.9],
            strict=True,
        )
    )
    assert figure.series("scanobjectnn", groups)[0].names == ["full", "dapt", "adapterx"]


def test_the_figure_has_our_points_with_their_interval_if_they_have_all_tasks(groups):
    _, own = figure.series("vtab1k", groups)  # without the runs that have one task
    # the parameters of linear are those of the head, as in the paper
    assert dict(zip(own.names, own.x, strict=True)) == pytest.approx({"lora": 100 * 0.29 / 85.8, "linear": 0.05})
    by_group = [[50 + TASKS.index(task) for task in members] for members in GROUPS.values()]
    seeds = [statistics.fmean(map(statistics.fmean, by_group)) + 0.1 * seed**2 for seed in range(3)]
    assert own.y == pytest.approx([statistics.fmean(seeds)] * 2)
    assert own.error == pytest.approx([4.3027 * statistics.stdev(seeds) / math.sqrt(3)] * 2, rel=1e-4)


def test_the_figure_lacks_us_if_every_run_lacks_a_task(groups):
    frame = groups[0]
    tasks = dict(zip(sorted(set(frame["spec.seed"])), TASKS, strict=False))
    partly = frame[frame["spec.task"] != frame["spec.seed"].map(tasks)]  # every seed lacks another task
    assert len(figure.series("vtab1k", groups)) == 2
    assert len(figure.series("vtab1k", [partly])) == 1


def test_on_points_the_figure_counts_the_head(groups):
    _, own = figure.series("scanobjectnn", groups)
    assert own.x == pytest.approx([100 * 1.1 / (85.8 + 0.27)])
    assert own.label == "ours: point_mae, augment rotate, rule last, seeds 3"


def test_the_command_writes_table_and_figure_without_records(tmp_path):
    assert leaderboard.main(["--results", str(tmp_path), "--published", "scanobjectnn"]) == 0
    names = ["scanobjectnn.csv", "scanobjectnn.md", *(f"adapterx_figure1.{end}" for end in ("png", "svg", "pdf"))]
    assert sorted(path.name for path in (tmp_path / "published").iterdir()) == sorted(names)
    assert "We have no run records on scanobjectnn." in (tmp_path / "published/scanobjectnn.md").read_text()
    assert not (tmp_path / "leaderboard.md").exists()


def test_a_suite_without_published_numbers_is_one_line(tmp_path, complaint):
    line = complaint(leaderboard.main, "--results", str(tmp_path), "--published", "vtab")
    known = f"known: {', '.join(sorted(SUITES))}"
    assert line == f"unknown suite with published numbers 'vtab'; did you mean 'vtab1k'? {known}"


def test_a_suite_may_have_published_numbers_of_its_own(tmp_path, monkeypatch):
    row = "solids-suite,points,solids,lora,81.5,point_nano,none,last,A paper\n"
    (tmp_path / "own.csv").write_text(f"{','.join(published.COLUMNS)}\n{row}")
    own = replace(suites.get("offline"), name="solids-suite", published=(tmp_path / "own.csv",))
    monkeypatch.setattr(offline, "SUITE", own)
    monkeypatch.setitem(suites.SUITES, "solids-suite", "benchmarks.suites.offline:SUITE")
    monkeypatch.delitem(suites.SUITES, "offline")
    beside.check("solids-suite")
    (cells,) = beside.table("solids-suite", []).cells.to_dict("records")
    assert tuple(cells[name] for name in ("solids", "source", "reference", "rule")) == ("81.5", "paper", "[1]", "last")
    found = published.find("solids-suite", "lora", own.published, backbone="point_nano", augment="none")
    assert published.summary(found, {"clean": ["solids"]}) == "solids 81.50; rule last"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.csv", r"own\.csv has no column modality, method, accuracy"),
        ("none.csv", r"cannot read the published numbers in .*none\.csv"),
    ],
)
def test_a_faulty_file_of_published_numbers_is_an_error(name, message, tmp_path):
    (tmp_path / "own.csv").write_text("suite,task\nx,y\n")
    with pytest.raises(UserError, match=message):
        published.numbers((tmp_path / name,))


@pytest.mark.parametrize("suite", SUITES)
def test_committed_tables_are_made_from_the_numbers_and_records(suite, root):
    committed = root / "results" / "published"
    made = beside.table(suite, comparable(load(root / "results")))
    assert formats.to_csv([made]) == (committed / f"{suite}.csv").read_text()
    assert (committed / f"{suite}.md").read_text().startswith(formats.to_markdown(made))
