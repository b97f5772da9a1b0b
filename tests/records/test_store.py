"""Records: written whole, found by path or key, and replaced where they are bad."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.records import evidence, store
from benchmarks.records.spec import Spec
from methods.errors import UserError
from tests.support.made_records import result

Specs = Callable[..., list[Spec]]


def test_a_record_is_found_by_its_path_its_key_and_its_name(specs, tmp_path):
    (spec,) = specs("lora")
    path = store.write(tmp_path, result(spec))
    for run in (str(path), spec.key[:8], "lora-s0"):
        assert store.find(tmp_path, run) == evidence.seal(json.loads(json.dumps(result(spec).to_json())))


def test_the_files_of_a_run_are_in_the_folder_of_its_record(specs, tmp_path, monkeypatch):
    (spec,) = specs("lora")
    path = store.write(tmp_path / "own", result(spec))
    file = store.adapter_path(tmp_path / "own", spec)
    file.parent.mkdir(parents=True)
    file.touch()
    for run, folder in ((str(path), tmp_path / "own"), (str(file), tmp_path / "own"), (spec.key, tmp_path / "other")):
        assert store.folder(tmp_path / "other", run) == folder
    assert store.task_file(tmp_path / "other", str(path)) == store.adapter_path(tmp_path / "own", spec)
    monkeypatch.chdir(path.parent)
    assert store.folder(tmp_path / "other", path.name) == tmp_path / "other"  # a name alone says no folder


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


def test_a_record_of_other_code_of_the_method_does_not_count_unless_one_is_not_known(specs, tmp_path):
    (spec,) = specs("lora")
    assert len(spec.method_digest) == 16
    first, changed, unknown = (replace(spec, method_digest=code) for code in ("1" * 16, "2" * 16, None))
    store.write(tmp_path, result(first))
    assert [store.finished(tmp_path, one) for one in (first, changed, unknown)] == [True, False, True]
    path = store.write(tmp_path, result(changed))  # takes the place of the first
    assert [store.finished(tmp_path, one) for one in (first, changed)] == [False, True]
    assert list(path.parent.iterdir()) == [path]
    store.write(tmp_path, result(unknown))  # as in records that are older than the digest
    assert store.finished(tmp_path, first)


def test_a_bad_record_is_kept_beside_the_one_that_replaces_it(specs, tmp_path, capsys):
    (spec,) = specs("lora")
    path = store.write(tmp_path, result(spec))
    path.write_text("{")
    assert not store.finished(tmp_path, spec)
    store.write(tmp_path, result(spec))
    assert store.finished(tmp_path, spec) and path.with_name(f"{path.name}.bad").read_text() == "{"
    assert capsys.readouterr().err.splitlines() == [
        f"warning: record {path}: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); "
        f"the run is executed again, and the file is kept as {path.name}.bad"
    ]
