"""Features of a frozen backbone: computed once a machine, and charged to every run as if it had computed them."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.files.contents import CACHE
from benchmarks.records.spec import Result, Spec
from benchmarks.sweeps import sweep
from benchmarks.training import feature_cache as pooled
from benchmarks.training import prefix
from benchmarks.training import run as runs
from benchmarks.training.model import Classifier

CPU = torch.device("cpu")


@pytest.fixture
def linear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    recipe = {"epochs": 1, "warmup_epochs": 0}
    return sweep.specs(sweep.Sweep(methods=("linear",), tasks=("digits",), recipe=recipe), "float32")[0]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each computation of features was of."""
    seen: list[int] = []
    compute = prefix.block_inputs

    def counted(model: Classifier, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        seen.append(len(x))
        return compute(model, x, *rest)

    monkeypatch.setattr(prefix, "block_inputs", counted)
    return seen


def run(spec: Spec, results: Path) -> Result:
    return runs.run(spec, results, CPU, lambda epoch: None)


def test_the_second_run_gets_what_the_first_computed(
    linear: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    first = run(linear, tmp_path)
    assert computed == [200]  # 160 to train and 40 to validate
    second = run(linear, tmp_path)
    assert computed == [200]
    assert (first.history, first.accuracy, first.params) == (second.history, second.accuracy, second.params)
    assert run(replace(linear, seed=1), tmp_path).accuracy != first.accuracy
    assert computed == [200]
    monkeypatch.setenv(CACHE, "/dev/null/nowhere")  # computed where they cannot be kept
    without = run(linear, tmp_path)
    assert computed == [200, 200]
    assert (without.history, without.accuracy) == (first.history, first.accuracy)


def test_a_run_is_charged_with_what_its_features_cost_when_they_were_computed(linear: Spec) -> None:
    x = torch.rand(4, 3)
    costly = pooled.FeatureCache(linear, CPU)
    features = costly(lambda: torch.ones(4, 2) * _slow(0.3), x)
    assert costly.seconds_saved <= 0  # locking and writing are nothing that the run is charged with
    cheap = pooled.FeatureCache(linear, CPU)
    assert torch.equal(cheap(lambda: pytest.fail("computed again"), x), features)
    assert 0.1 < cheap.seconds_saved < 0.3 + 0.1
    assert cheap.peak_memory_bytes == costly.peak_memory_bytes > 0


def _slow(seconds: float) -> int:
    time.sleep(seconds)
    return 1


@pytest.mark.parametrize("changed", ["samples", "weights", "normalization", "dtype", "threads", "damage"])
def test_other_features_are_computed_anew(changed: str, linear: Spec, tmp_path: Path) -> None:
    x, spec, threads = torch.rand(4, 3), linear, torch.get_num_threads()
    pooled.FeatureCache(spec, CPU)(lambda: torch.ones(4, 2), x)
    if changed == "samples":
        x = torch.cat([x[1:], x[:1]])
    elif changed == "weights":
        spec = replace(spec, backbone=replace(spec.backbone, sha256="0"))
    elif changed == "normalization":
        spec = replace(spec, recipe=replace(spec.recipe, normalization="none"))
    elif changed == "dtype":
        spec = replace(spec, dtype="bfloat16")
    elif changed == "damage":
        (file,) = (tmp_path / "cache" / "features").glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:-3])
    else:
        torch.set_num_threads(threads + 1)
    try:
        assert pooled.FeatureCache(spec, CPU)(lambda: torch.zeros(4, 2), x).sum() == 0
    finally:
        torch.set_num_threads(threads)


def test_a_longer_lesson_for_the_head_alone_reuses_them(linear: Spec, tmp_path: Path, computed: list[int]) -> None:
    run(linear, tmp_path)
    longer = replace(linear, config=replace(linear.config, lr=0.1), recipe=replace(linear.recipe, epochs=3))
    run(longer, tmp_path)
    assert computed == [200]
