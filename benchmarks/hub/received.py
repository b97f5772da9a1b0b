"""From the files of a repository to a run in a results folder, where every command finds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import backbones
from benchmarks.backbones.names import parse
from benchmarks.files.writing import read_text, write_atomic
from benchmarks.hub import contents
from benchmarks.hub.names import MANIFEST, RECORD, TASK
from benchmarks.records import evidence, store
from benchmarks.records.spec import Spec
from benchmarks.training import task_files
from methods.errors import UserError, check


def digests(path: Path) -> Mapping[str, str]:
    """The digests that the manifest of a repository states.

    Raises:
        UserError: it is none.
    """
    check(path.stat().st_size <= contents.LARGEST, f"{MANIFEST} has more than {contents.LARGEST} bytes")
    return contents.manifest(read_text(path))


def place(files: Mapping[str, Path], results: Path, backbone: str | None) -> Spec:
    """Put record and task file of one run below a results folder. Returns the spec of the run.

    ``backbone`` names the weights on this machine, if the repository names a file.

    Raises:
        UserError: the files are not of one run, the backbone's weights are missing or others, or the folder has other
            files of this run.
    """
    spec, state = task_files.unpacked(files[TASK])
    spec = _here(spec, backbone)
    record, task_file = store.record_path(results, spec), store.adapter_path(results, spec)
    content = read_text(files[RECORD])
    _check_record(content, spec)
    there = record.is_file() and read_text(record) != content
    check(not there, f"{record} is another record of this run, and records are not replaced; give another --results")
    store.prepare(results)
    write_atomic(record, content)
    write_atomic(task_file, task_files.packed(spec, state))
    return spec


def _check_record(content: str, spec: Spec) -> None:
    check(len(content) <= store.LARGEST, f"{RECORD} is longer than {store.LARGEST} bytes")
    try:
        record = json.loads(content)
        evidence.examine(record)
    except (ValueError, RecursionError) as error:  # a UserError is a ValueError
        raise UserError(f"{RECORD}: {error}") from None
    check(record["key"] == spec.key, f"{RECORD} is of the run {record['key']}, and {TASK} of {spec.key}")


def _here(spec: Spec, backbone: str | None) -> Spec:
    """The spec with the name that the weights of its backbone have on this machine."""
    name = backbone or spec.backbone.name
    plain = parse(spec.backbone.name).plain
    check(parse(name).plain == plain, f"--backbone {name} is not {plain}, which this run was trained on")
    told = f"it was trained on weights whose SHA-256 starts with {spec.backbone.sha256[:12]}"
    try:
        now = backbones.source_or_absent(name).sha256
    except UserError as error:
        raise UserError(f"{error}; {told}: give their file with --backbone {plain}@FILE") from None
    check(now in (spec.backbone.sha256, backbones.ABSENT), f"{told}, and those of {name} with {now[:12]}")
    return replace(spec, backbone=replace(spec.backbone, name=name))
