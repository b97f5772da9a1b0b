"""A node of a Ray cluster: what it returns, without a cluster."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytest import MonkeyPatch
from torch import Tensor, nn

from benchmarks.executors import node
from benchmarks.executors.attempt import Failure
from benchmarks.executors.place import Place
from benchmarks.records import logits
from benchmarks.records.spec import Result, Spec
from tests.conftest import Specs

pytest.importorskip("ray", reason="needs the extra ray")
PLACE = Place(executor="ray", device=torch.device("cpu"), workers=1)
REPORTS = SimpleNamespace(put=SimpleNamespace(remote=lambda key, epoch: None))


def work(spec: Spec, folder: Path) -> Failure:
    task = node.Task(spec=spec, results=folder, token=None, place=PLACE, folder=folder, code={})
    outcome, files = node.work(task, REPORTS)
    assert isinstance(outcome, Failure)
    assert files == {}
    return outcome


@pytest.fixture
def spec(specs: Specs, one_thread: None, monkeypatch: MonkeyPatch, tmp_path: Path) -> Spec:
    monkeypatch.chdir(tmp_path)  # a node changes its folder
    return specs("adapter")[0]


def test_a_bug_in_a_method_returns_a_failure_with_its_traceback(spec, tmp_path, monkeypatch):
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        return x @ x.new_ones(3, 5)

    monkeypatch.setattr("methods.adapter.Residual.forward", forward)
    failure = work(spec, tmp_path)
    assert re.match("RuntimeError: (mm: )?mat1 and mat2 shapes cannot be multiplied", failure.reason)
    assert f'File "{__file__}", line {forward.__code__.co_firstlineno + 1}, in forward' in failure.traceback


def test_a_node_without_the_results_folder_sends_the_task_file_and_the_logits_back(spec, tmp_path):
    short = replace(spec, recipe=replace(spec.recipe, epochs=1, warmup_epochs=0))
    task = node.Task(spec=short, results=tmp_path / "none", token="x", place=PLACE, folder=tmp_path, code={})
    outcome, files = node.work(task, REPORTS)
    assert isinstance(outcome, Result)
    assert set(files) == {f"adapters/{short.stem}.safetensors", f"logits/{short.stem}.npz"}
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(content)
    record = {"spec": short.to_json(), "key": short.key, "accuracy": outcome.accuracy}
    assert logits.find(tmp_path, record).hits == 1000 * outcome.accuracy["test"]


def test_other_data_than_the_drivers_is_a_failure(spec, tmp_path):
    failure = work(replace(spec, data_fingerprint="0" * 64), tmp_path)
    assert "has other data of digits than the driver" in failure.reason
