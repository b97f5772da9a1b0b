"""A dry run plans without data and weights, and shows what papers report."""

import re
from pathlib import Path

import pytest

import methods
from benchmarks import backbones, published, run, suites
from benchmarks.files.root import DATA_ROOT
from benchmarks.records import store
from benchmarks.records.spec import Recipe
from benchmarks.sweeps import sweep
from tests.support import tiny

MISSION = ["full", "linear", "adapter", "lora", "noah", "mosa", "adapterx"]
OTHERS = ["bitfit", "vpt_shallow", "vpt_deep", "adaptformer", "ssf", "fact_tt", "fact_tk", "convpass", "repadapter"]
METHODS = {  # of a sweep that has others
    "vtab1k": {*MISSION, *OTHERS, "bi_adaptformer", "bi_lora"},
    "fewshot": {"linear", "vpt_deep", "adapter", "lora", "noah", "adapterx"},
    "imagenet_dg": {"full", "linear", "vpt_deep", "adapter", "lora", "noah", "adapterx"},
    "fgvc": {"full", "linear", "vpt_deep", "adaptformer", "lora", "mosa", "adapterx"},
}
AUTHORS = {  # by file: the recipe's drop-path and augmentation, the method's options, and the parameters on Point-MAE
    "dapt_pb_t50_rs": (0.3, "scale_translate", {"dropout": 0.2, "positions": "once"}, 1_087_771),
    "dapt_obj_bg": (0.3, "scale_translate", {"dropout": 0.5, "positions": "once"}, 1_087_771),
    "dapt_obj_only": (0.1, "scale_translate", {"head_patches": False, "positions": "once"}, 989_467),
    "idpt_obj_bg": (0.1, "rotate", {"head": "prompt"}, 1_500_175),
    "idpt_obj_only": (0.1, "rotate", {"block": 6}, 1_696_783),
}
pytestmark = pytest.mark.usefixtures("no_passes")


@pytest.fixture(autouse=True)
def _no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(DATA_ROOT, str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_plan_of_missing_data_shows_time_and_published_numbers(tmp_path, capsys):
    config = tmp_path / "sweep.yaml"
    config.write_text("suite: vtab1k\nmethods: [linear, lora]\nseeds: [0, 1]\nset: {lora: {rank: [4, 8]}}\n")
    argv = ["--config", str(config), "--backbone", "vit_nano", "--recipe", "epochs=11", "--results", str(tmp_path)]
    assert run.main([*argv, "--dry-run"]) == 0
    out = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if line.startswith("│")]
    assert "plan on vit_nano: 19 tasks, 2 seeds" in out
    assert [row[:3] for row in rows] == [[name, "38", "0"] for name in ("linear", "lora rank=4", "lora")]
    assert all(re.fullmatch(r"\d+ (s|min|h \d+ min)", row[4]) for row in rows)
    shown = re.findall(r"^published for (.*): mean (.*?),", out, re.MULTILINE)
    assert shown == [("linear", "52.94"), ("lora rank=4", "72.25"), ("lora", "72.25")]
    assert f"missing below {tmp_path / 'none'}: the data of 19 tasks of suite vtab1k (" in out
    assert "114 runs, about" in out
    assert not store.records(tmp_path)


@pytest.mark.parametrize(
    "name", ["vtab1k", "fewshot", "fgvc", "imagenet_dg", "scanobjectnn", "modelnet40", "shapenetpart"]
)
def test_a_sweep_file_quotes_the_published_numbers_that_its_plan_shows(name, root):
    file = root / "benchmarks" / "configs" / f"{name}.yaml"
    specs = sweep.specs(sweep.from_file(file), "float32", absent=True)
    methods = {spec.method for spec in specs}
    assert methods == METHODS.get(name, {*MISSION, "dapt", "idpt"})
    assert {spec.backbone.sha256 for spec in specs} == {spec.data_fingerprint for spec in specs} == {backbones.ABSENT}
    tasks = [task for task in suites.get(name).tasks.values() if task.name in {spec.task for spec in specs}]
    groups = {task.group: [own.name for own in tasks if own.group == task.group] for task in tasks}
    where = {"augment": specs[0].recipe.augment, "backbone": specs[0].backbone.name}
    reported = {method: published.summary(published.find(name, method, **where), groups) for method in methods}
    quoted = dict(re.findall(r"^#   (\w+) +(.*)$", file.read_text(), re.MULTILINE))
    assert quoted == {method: line for method, line in reported.items() if line}


@pytest.mark.parametrize("name", AUTHORS)
def test_a_sweep_file_of_one_paper_has_the_settings_of_its_code(name, root):
    drop_path, augment, options, parameters = AUTHORS[name]
    asked = sweep.from_file(root / "benchmarks" / "configs" / f"{name}.yaml")
    spec, *others = sweep.specs(asked, "float32", absent=True)
    assert (f"{spec.method}_{spec.task}", {other.seed for other in others}) == (name, {1, 2})
    assert spec.config == methods.config(spec.method, {"lr": 5e-4, "weight_decay": 0.05, **options})
    published = suites.get("scanobjectnn").recipes["points"] | {"drop_path": drop_path, "augment": augment}
    assert spec.recipe == Recipe(**published, frozen_batchnorm="adapt")
    assert spec.recipe.resample
    assert tiny.count_with_head(spec.method, 15, **options)[1] == parameters


@pytest.mark.parametrize("name", ["scanobjectnn", "modelnet40"])
def test_every_method_on_points_has_the_published_rate_and_decay(name, root):
    specs = sweep.specs(sweep.from_file(root / "benchmarks" / "configs" / f"{name}.yaml"), "float32", absent=True)
    assert {(spec.config.lr, spec.config.weight_decay) for spec in specs} == {(5e-4, 0.05)}
    (dapt,) = {spec.config for spec in specs if spec.method == "dapt"}
    parts = {"hidden": 72, "head_prompts": False} if name == "modelnet40" else {}
    assert dapt == methods.config("dapt", {"lr": 5e-4, "weight_decay": 0.05, **parts})


def test_a_missing_weights_file_that_was_named_is_an_error(complaint):
    line = complaint(run.main, "--suite", "vtab1k", "--backbone", "vit_nano@none.safetensors", "--dry-run")
    assert "none.safetensors is not a file" in line
