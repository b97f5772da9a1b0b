"""A dry run plans without data and weights, and shows what papers report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import backbones, published, run, suites
from benchmarks.files.root import DATA_ROOT
from benchmarks.records import store
from benchmarks.sweeps import sweep

CONFIGS = Path(__file__).parents[2] / "benchmarks" / "configs"
MISSION = ["full", "linear", "adapter", "lora", "noah", "mosa", "adapterx"]


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_plan_of_missing_data_shows_time_published_numbers_and_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "sweep.yaml"
    config.write_text("suite: vtab1k\nmethods: [linear, lora]\nseeds: [0, 1]\nset: {lora: {rank: [4, 8]}}\n")
    argv = ["--config", str(config), "--backbone", "vit_nano", "--recipe", "epochs=11", "--results", str(tmp_path)]
    assert run.main([*argv, "--dry-run"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    firsts = [row for row in rows if row[0].endswith("vit_nano")]
    assert [row[:5] for row in firsts] == [
        [f"{name} on vit_nano", "19", "2", "38", "0"] for name in ("linear", "lora", "lora")
    ]
    assert all(re.fullmatch(r"\d+ (min \d+ s|h \d+ min)", row[6]) for row in firsts)
    told = " ".join(cell for row in rows for cell in row[7:])
    assert told.count("mean 72.25") == 2
    assert "mean 52.94" in told
    assert f"not below {tmp_path / 'none'}: the data of 19 tasks of vtab1k (" in out
    assert "114 runs, about" in out
    assert not store.records(tmp_path)


@pytest.mark.parametrize("name", ["vtab1k", "scanobjectnn", "modelnet40"])
def test_sweep_files_of_the_real_suites_name_the_published_numbers_that_a_plan_shows(name: str) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    specs = sweep.specs(sweep.from_file(CONFIGS / f"{name}.yaml"), "float32", absent=True)
    assert list(dict.fromkeys(spec.method for spec in specs)) == MISSION
    assert {spec.backbone.sha256 for spec in specs} == {spec.data_fingerprint for spec in specs} == {backbones.ABSENT}
    groups: dict[str, list[str]] = {}
    for task in suites.get(name).tasks.values():
        if task.name in {spec.task for spec in specs}:
            groups.setdefault(task.group, []).append(task.name)
    augment, backbone = specs[0].recipe.augment, specs[0].backbone.name
    reported = {
        method: published.summary(published.find(name, method, backbone=backbone, augment=augment), groups)
        for method in MISSION
    }
    written = dict(re.findall(r"^#   (\w+) +(.*)$", text, re.MULTILINE))
    assert written == {method: line for method, line in reported.items() if line}


def test_a_named_file_that_is_missing_is_still_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--suite", "vtab1k", "--backbone", "vit_nano@none.safetensors", "--dry-run"]) == 2
    assert "none.safetensors is not a file" in capsys.readouterr().err
