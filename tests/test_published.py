"""The published numbers that are shown beside ours: aggregates that papers print come out of their cells."""

from __future__ import annotations

import pytest

from benchmarks import published

VIT = "vit_base_patch16_224.orig_in21k"
GROUPS = {
    "natural": ["cifar100", "caltech101", "dtd", "flowers102", "pets", "svhn", "sun397"],
    "specialized": ["camelyon", "eurosat", "resisc45", "retinopathy"],
    "structured": [
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ],
}


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
