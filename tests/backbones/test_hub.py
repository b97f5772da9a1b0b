"""Weights on the Hugging Face hub: cached files need no connection, and without one a command ends at once."""

import json
import time

import huggingface_hub.constants
import pytest
from safetensors.torch import save_file

from benchmarks import backbones, run
from tests.backbones.test_damaged_weights import MODEL, weights

COMMIT = "1234567890abcdef1234567890abcdef12345678"
NOWHERE = "http://127.0.0.1:9"  # nobody listens there


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub's client, and a hub that cannot be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    for known in (backbones.source, backbones.resampled):
        known.cache_clear()
    yield tmp_path / "hub"
    for known in (backbones.source, backbones.resampled):
        known.cache_clear()


def kept(cache, repository):
    """A model in the cache, as the hub's client keeps it."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    save_file(weights(), snapshot / "model.safetensors")
    config = {"input_size": [3, 160, 160], "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.5, 0.5], "num_classes": 0}
    config["fixed_input_size"] = True
    config = {"architecture": MODEL, "num_classes": 0, "pretrained_cfg": config}
    (snapshot / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("offline", [False, True], ids=["no connection", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("vit_tiny_patch16_224", "offline, give a local file as vit_tiny_patch16_224@FILE"),
        ("hf_hub:timm/test_vit", "offline, give a local file as test_vit@FILE"),
        ("hf-hub:me/model", "cannot build backbone 'hf-hub:me/model': cannot download "),
    ],
)
def test_without_a_connection_a_command_ends_at_once(name, line, offline, cache, monkeypatch, complaint):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waits to try again"))  # for 77 s in all
    told = complaint(run.main, "--methods", "lora", "--tasks", "digits", "--backbone", name)
    assert line in told and ("config.json" if name == "hf-hub:me/model" else "model.safetensors") in told


@pytest.mark.parametrize(
    ("name", "repository", "known"),
    [
        ("hf_hub:timm/test_vit", "timm/test_vit.r160_in1k", "test_vit"),
        ("timm/test_vit.r160_in1k", "timm/test_vit.r160_in1k", "test_vit.r160_in1k"),
        ("hf_hub:me/model", "me/model", "hf-hub:me/model"),
    ],
)
def test_cached_weights_need_no_connection(name, repository, known, cache, same_state):
    kept(cache, repository)
    assert same_state(backbones.build(name).state_dict(), weights())
    source = backbones.source_or_absent(name)
    assert (source.name, source.image_size) == (known, 160)
    assert source.sha256 == backbones.source(known).sha256 != backbones.ABSENT
    assert (source.mean == (0.1, 0.2, 0.3)) is (repository == "me/model")


def test_a_plan_without_weights_asks_nobody(cache):
    assert backbones.source_or_absent("test_vit:64").sha256 == backbones.ABSENT
