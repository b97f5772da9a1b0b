"""Records: written whole, found by path or key, and refused when they are not those of finished runs."""

import json
from collections.abc import Callable

import pytest

from benchmarks.records import store
from benchmarks.records.spec import Result, Spec
from methods.errors import UserError

Specs = Callable[..., list[Spec]]


def result(spec: Spec) -> Result:
    return Result(spec=spec, history=[], accuracy={"test": 0.5}, params={}, cost={}, environment={})


def test_a_record_is_found_by_its_path_its_key_and_its_name(specs, tmp_path):
    (spec,) = specs("lora")
    path = store.write(tmp_path, result(spec))
    for run in (str(path), spec.key[:8], "lora-s0"):
        assert store.find(tmp_path, run) == json.loads(json.dumps(result(spec).to_json()))


def test_a_name_of_several_runs_lists_them(specs, tmp_path):
    for spec in specs("lora", seeds=(0, 1)):
        store.write(tmp_path, result(spec))
    with pytest.raises(UserError, match=r"'lora' names 2 runs \(lora-s0-\w+, lora-s1-\w+\)"):
        store.find(tmp_path, "lora")


def test_a_record_replaces_the_trace_and_the_stages_of_its_run(specs, tmp_path):
    (spec,) = specs("lora")
    store.write_trace(tmp_path, spec, "failed", "no reason")
    store.scratch_path(tmp_path, spec).mkdir()
    assert not store.finished(tmp_path, spec)
    store.write(tmp_path, result(spec))
    assert store.finished(tmp_path, spec)
    assert store.read_trace(tmp_path, spec) is None and not store.scratch_path(tmp_path, spec).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "failed"}, "is not that of a finished run"),
        ({"schema_version": 0}, "has schema version 0, not 1"),
    ],
)
def test_what_is_not_a_record_is_refused(change, message, specs, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(result(specs("lora")[0]).to_json() | change))
    with pytest.raises(UserError, match=message):
        store.read(path)
