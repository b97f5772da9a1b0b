"""Methods and tasks that do not fit each other: left out of all, refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import methods
from benchmarks import run, speed, suites
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from methods.lora import LoRA

POINTS = ("solids", "solids_hard")
KINDS = {name: task.modality for name, task in suites.get("offline").tasks.items()}


def planned(*, names: tuple[str, ...], tasks: tuple[str, ...] = ()) -> list[Spec]:
    return sweep.specs(sweep.Sweep(methods=names, tasks=tasks), "float32")


def complaint(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert run.main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize("name", ["dapt", "idpt"])
def test_points_methods_on_image_tasks_are_one_line_before_any_work(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    line = complaint(capsys, "--methods", "lora", name, "--tasks", "digits", "count", "--results", str(results))
    assert line == (
        f"error: method '{name}' works on points only, and the tasks asked for are of image: digits, count; "
        "tasks of suite offline for it: solids, solids_hard"
    )
    assert not results.exists()


def test_an_image_method_on_point_tasks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LoRA, "modalities", frozenset({"image"}))
    assert complaint(capsys, "--methods", "lora", "--tasks", *POINTS, "--dry-run") == (
        "error: method 'lora' works on image only, and the tasks asked for are of points: solids, solids_hard; "
        "tasks of suite offline for it: digits, texture, orientation, count, location"
    )


def test_a_named_method_runs_on_those_tasks_that_it_fits() -> None:
    asked = planned(names=("dapt", "lora"))
    assert {spec.task for spec in asked if spec.method == "dapt"} == set(POINTS)
    assert {spec.task for spec in asked if spec.method == "lora"} == set(KINDS)


@pytest.mark.parametrize("tasks", [("digits",), ("solids",), ("digits", "solids")])
def test_all_leaves_out_what_does_not_fit(tasks: tuple[str, ...]) -> None:
    expected = {(n, t) for n in methods.table() for t in tasks if KINDS[t] in methods.get(n).modalities}
    asked = planned(names=("all",), tasks=tasks)
    assert {(spec.method, spec.task) for spec in asked} == expected
    assert {spec.backbone.modality for spec in asked if spec.method in ("dapt", "idpt")} <= {"points"}


def test_options_of_a_method_that_all_leaves_out_are_still_checked() -> None:
    asked = sweep.Sweep(methods=("all",), tasks=("digits",), set={"dapt": {"hidden": 0}})
    with pytest.raises(ValueError, match=r"^dapt: hidden=0 must be at least 1$"):
        sweep.specs(asked, "float32")


def test_timing_a_points_method_on_images_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main(["methods", "--methods", "idpt"]) == 2
    line = "error: method 'idpt' works on points only; VisionTransformer is of modality image"
    assert capsys.readouterr().err.splitlines() == [line]


def test_list_shows_the_modalities(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--list"]) == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    shown = {row[0]: row[1] for row in rows if row and row[0] in methods.METHODS}
    assert shown == {name: ", ".join(sorted(methods.get(name).modalities)) for name in methods.METHODS}
