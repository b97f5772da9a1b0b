"""A model goes to a hub and comes back the same, and timm loads it from there."""

import os
import subprocess
import sys

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config

from benchmarks import load_model, predict, pull, push, run
from benchmarks.hub import names
from benchmarks.records import store
from tests.support.repositories import TOKEN
from tests.training.test_export import inputs

RUN = {names.RECORD, names.TASK, names.MANIFEST, names.CARD}
ARCHITECTURE = "vit_tiny_patch16_224"


@pytest.fixture
def small(tmp_path):
    """The name of a backbone of timm with random weights in a file, for images of 32 pixels."""
    torch.manual_seed(3)
    path = tmp_path / "secret" / "tiny.safetensors"
    path.parent.mkdir()
    save_file(timm.create_model(ARCHITECTURE, num_classes=0, img_size=32).state_dict(), path)
    return f"{ARCHITECTURE}:32@{path}"


def assert_equal(spec, tmp_path):
    """The model that was pulled computes what the one that was pushed does, and tells the same names."""
    own, got = (load_model(store.adapter_path(tmp_path / name, spec)) for name in ("own", "got"))
    x = inputs(spec.task, spec.backbone.image_size or 0)
    assert torch.equal(own(x), got(x)) and own.labels == got.labels


@pytest.mark.parametrize(
    ("method", "task"),
    [("adapterx", "digits"), *(pytest.param("lora", task, marks=pytest.mark.slow) for task in ("digits", "solids"))],
)
def test_a_shared_run_comes_back_the_same_and_predicts(method, task, hub, tmp_path, capsys, run):
    spec = run(method, task)
    assert push.main([spec.key, "me/photos", "--results", str(tmp_path / "own")]) == 0
    assert f"pushed: {spec}, to {hub.url}/me/photos/commit/" in capsys.readouterr().out
    plain = {names.PLAIN} if method == "lora" else set()
    assert hub.repositories["me/photos"].files().keys() == {".gitattributes"} | RUN | plain
    assert pull.main(["me/photos", "--results", str(tmp_path / "got")]) == 0
    assert f"benchmarks.predict {spec.key} " in capsys.readouterr().out
    for place in (store.record_path, store.adapter_path):
        assert place(tmp_path / "got", spec).read_bytes() == place(tmp_path / "own", spec).read_bytes()
    assert_equal(spec, tmp_path)
    if task == "digits":
        Image.new("RGB", (50, 40), (9, 99, 9)).save(tmp_path / "a.png")
        assert predict.main([spec.key, str(tmp_path / "a.png"), "--results", str(tmp_path / "got")]) == 0


def test_timm_alone_loads_a_shared_model_by_its_name(run, hub, small, tmp_path, complaint, capsys):
    spec = run("lora", backbone=(small,))
    assert push.main([spec.key, "me/photos", "--results", str(tmp_path / "own")]) == 0
    bare = timm.create_model("hf-hub:me/photos", pretrained=True).eval()
    model = load_model(store.adapter_path(tmp_path / "own", spec))
    with torch.inference_mode():
        found, expected = (one(inputs("digits")) for one in (bare, model))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert bare.pretrained_cfg["label_names"] == list("0123456789")
    data = resolve_model_data_config(bare)
    assert data["input_size"] == (3, 32, 32) and create_transform(**data)
    # a file of weights is named without its folder, and given again
    assert not any(b"secret" in content for content in hub.repositories["me/photos"].files().values())
    got = ("--results", str(tmp_path / "got"))
    capsys.readouterr()
    line = complaint(pull.main, "me/photos", *got)
    cure = f"starts with {spec.backbone.sha256[:12]}: give their file with --backbone {ARCHITECTURE}:32@FILE"
    assert "weights of backbone" in line and line.endswith(cure)
    line = complaint(pull.main, "me/photos", *got, "--backbone", "vit_nano")
    assert line == f"--backbone vit_nano is not {ARCHITECTURE}:32, which this run was trained on"
    assert pull.main(["me/photos", *got, "--backbone", small]) == 0
    assert_equal(spec, tmp_path)


@pytest.mark.slow
def test_the_commands_work_in_processes_of_their_own(hub, tmp_path):
    """The library reads HF_ENDPOINT and HF_HOME at its import, as for a person."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    environment |= {"HF_HUB_DISABLE_XET": "1", "PYTHONPATH": os.getcwd()}
    results = ["--results", str(tmp_path / "try")]
    short = ["--methods", "lora", "--tasks", "digits", "--recipe", "epochs=1", "warmup_epochs=0"]
    assert run.main([*short, *results]) == 0
    for words in (["push", "lora", "me/photos", *results], ["pull", "me/photos", "--results", str(tmp_path / "got")]):
        done = subprocess.run([sys.executable, "-m", "benchmarks", *words], env=environment, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
    kinds = [path.relative_to(tmp_path / "got").parts[0] for path in (tmp_path / "got").rglob("lora-s0-*")]
    assert sorted(kinds) == [store.ADAPTERS, store.RUNS]
