"""Features of a frozen backbone are computed once per machine, and every run reports their cost."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.files.contents import CACHE
from benchmarks.records.spec import Result, Spec
from benchmarks.training import prefix
from benchmarks.training import run as runs
from benchmarks.training.feature_cache import FeatureCache
from benchmarks.training.model import Classifier
from tests.support.nameless import nameless

CPU = torch.device("cpu")
SAMPLES = 160 + 40  # train and val of a task


@pytest.fixture
def linear(specs: Callable[..., list[Spec]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return specs("linear")[0]


@pytest.fixture(scope="module")
def first(specs: Callable[..., list[Spec]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """The run whose features the cache holds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE, str(tmp_path_factory.mktemp("cache")))
        yield run(specs("linear")[0], tmp_path_factory.mktemp("results"))


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of samples in each computation of features."""
    seen: list[int] = []
    compute = prefix.block_inputs

    def counted(model: Classifier, x: Tensor, *rest: Any) -> Tensor:
        seen.append(len(x))
        return compute(model, x, *rest)

    monkeypatch.setattr(prefix, "block_inputs", counted)
    return seen


def run(spec: Spec, results: Path) -> Result:
    return runs.run(spec, results, CPU, lambda epoch: None)


def test_a_second_run_reuses_the_features_of_the_first(first, tmp_path, computed):
    second = run(first.spec, tmp_path)
    assert computed == []
    assert (first.history, first.accuracy, first.params) == (second.history, second.accuracy, second.params)


def test_other_seeds_and_other_training_of_the_head_reuse_features(first, tmp_path, computed):
    spec = first.spec
    longer = replace(spec.recipe, epochs=3)
    other = run(replace(spec, seed=1, config=replace(spec.config, lr=0.1), recipe=longer), tmp_path)
    assert computed == []
    assert other.history[0] != first.history[0]


@pytest.mark.parametrize("user", ["without a cache folder", "without a name and a home folder"])
def test_a_run_that_can_store_nothing_computes_equal_features(user, first, tmp_path, monkeypatch, computed):
    monkeypatch.setenv(CACHE, "/dev/null/nowhere")
    if user == "without a name and a home folder":
        nameless(monkeypatch)
    without = run(first.spec, tmp_path)
    assert computed == [SAMPLES]
    assert (without.history, without.accuracy) == (first.history, first.accuracy)


def test_cached_features_cost_what_computing_them_cost(linear):
    x = torch.rand(4, 3)
    costly = FeatureCache(linear, CPU)
    features = costly(lambda: time.sleep(0.3) or torch.ones(4, 2), x)  # type: ignore[func-returns-value]
    assert costly.seconds_saved <= 0  # the time of locking and writing is not charged to the run
    cheap = FeatureCache(linear, CPU)
    assert torch.equal(cheap(lambda: pytest.fail("computed again"), x), features)
    assert 0.1 < cheap.seconds_saved < 0.3 + 0.1
    assert cheap.peak_memory_bytes == costly.peak_memory_bytes > 0


def test_an_error_of_the_computation_is_raised_after_one_try(linear):
    tries: list[int] = []

    def broken() -> Tensor:
        tries.append(1)
        raise FileNotFoundError("a bug")

    with pytest.raises(FileNotFoundError, match="a bug"):
        FeatureCache(linear, CPU)(broken, torch.rand(4, 3))
    assert len(tries) == 1


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "changed", ["samples", "weights", "normalization", "frame", "dtype", "threads", "cut", "half zero"]
)
def test_a_change_of_what_decides_features_computes_them_again(changed, linear, tmp_path, capsys):
    x, spec = torch.rand(4, 3), linear
    FeatureCache(spec, CPU)(lambda: torch.ones(4, 2), x)
    if changed == "samples":
        x = torch.cat([x[1:], x[:1]])
    elif changed == "weights":
        spec = replace(spec, backbone=replace(spec.backbone, sha256="0"))
    elif changed == "frame":
        spec = replace(spec, backbone=replace(spec.backbone, crop_pct=0.9))
    elif changed == "normalization":
        spec = replace(spec, recipe=replace(spec.recipe, normalization="imagenet"))
    elif changed == "dtype":
        spec = replace(spec, dtype="bfloat16")
    elif changed in ("cut", "half zero"):
        (file,) = (tmp_path / "cache" / "features").glob("*.safetensors")
        content = file.read_bytes()
        file.write_bytes(content[:-3] if changed == "cut" else content[:-48] + bytes(16) + content[-32:])
    else:
        torch.set_num_threads(2)
    assert FeatureCache(spec, CPU)(lambda: torch.zeros(4, 2), x).sum() == 0
    assert ("is damaged; its content is made again" in capsys.readouterr().err) == (changed in ("cut", "half zero"))
