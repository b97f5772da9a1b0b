"""Methods and tasks of different modalities: 'all' leaves such pairs out, and a method asked for by name is refused."""

import pytest

import methods
from benchmarks import run, speed, suites
from benchmarks.records.spec import Spec
from benchmarks.sweeps import sweep
from methods.errors import UserError
from methods.lora import LoRA

POINTS = ("solids", "solids_hard")
KINDS = {name: task.modality for name, task in suites.get("offline").tasks.items()}


def planned(*names: str, tasks: tuple[str, ...] = ()) -> list[Spec]:
    return sweep.specs(sweep.Sweep(methods=names, tasks=tasks), "float32")


@pytest.mark.parametrize("name", ["dapt", "idpt"])
def test_a_points_method_on_image_tasks_is_one_line(name, tmp_path, complaint):
    results = tmp_path / "results"
    line = complaint(run.main, "--methods", "lora", name, "--tasks", "digits", "count", "--results", str(results))
    assert line == (
        f"method '{name}' works only on points, but the tasks asked for (digits, count) have image; "
        "its tasks in suite offline: solids, solids_hard"
    )
    assert not results.exists()


def test_an_image_method_on_point_tasks_is_one_line(monkeypatch, complaint):
    monkeypatch.setattr(LoRA, "modalities", frozenset({"image"}))
    assert complaint(run.main, "--methods", "lora", "--tasks", *POINTS, "--dry-run") == (
        "method 'lora' works only on image, but the tasks asked for (solids, solids_hard) have points; "
        "its tasks in suite offline: digits, fashion, texture, orientation, count, location"
    )


def test_a_named_method_runs_on_the_tasks_of_its_modalities():
    expected = [("dapt", task) for task in POINTS] + [("lora", task) for task in KINDS]
    assert {(spec.method, spec.task) for spec in planned("dapt", "lora")} == set(expected)


@pytest.mark.usefixtures("no_passes")
@pytest.mark.parametrize("tasks", [("digits",), ("solids",), ("digits", "solids")])
def test_all_leaves_out_methods_of_another_modality(tasks):
    expected = {(n, t) for n in methods.table() for t in tasks if KINDS[t] in methods.get(n).modalities}
    assert {(spec.method, spec.task) for spec in planned("all", tasks=tasks)} == expected


def test_options_are_checked_even_of_a_method_that_all_leaves_out():
    asked = sweep.Sweep(methods=("all",), tasks=("digits",), set={"dapt": {"hidden": 0}})
    with pytest.raises(UserError, match=r"^dapt: hidden=0 must be at least 1$"):
        sweep.specs(asked, "float32")


def test_timing_a_points_method_on_images_is_one_line(complaint):
    line = complaint(speed.main, "methods", "--methods", "idpt")
    why = "method 'idpt' works on points only; VisionTransformer is of modality image"
    assert line == f"backbone 'vit_base_patch16_224': {why}"


@pytest.mark.usefixtures("no_passes")
def test_list_names_everything_and_shows_the_modalities(capsys):
    assert run.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert [name for name in ("2406.03051", "2106.09685", *KINDS, "vit_nano", "point_nano") if name not in out] == []
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    shown = {row[0]: row[1] for row in rows if row and row[0] in methods.METHODS}
    assert shown == {name: ", ".join(sorted(methods.get(name).modalities)) for name in methods.METHODS}
