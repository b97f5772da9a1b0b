"""The files that a run becomes in a repository of the hub, and which of them make it a run again."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.backbones.names import parse
from benchmarks.files.writing import write_atomic
from benchmarks.hub import card
from benchmarks.hub.names import CARD, CONFIG, MANIFEST, PLAIN, RECORD, TASK
from benchmarks.records import evidence, store
from benchmarks.records.spec import Spec
from benchmarks.training import export, loading, task_files
from benchmarks.training.model import Classifier
from methods.errors import UserError, check

LARGEST = 2**16  # bytes of a manifest


def write(results: Path, run: str, repository: str, folder: Path, revision: str | None) -> Spec:
    """Write the files of a run's repository to an empty folder. Returns the spec of the run.

    These are its task file, its record, their digests and a model card; where the method folds into the weights a plain
    checkpoint as well, and where timm knows the architecture the configuration from which it makes the model. A file of
    weights is named without its folder, because that is a path of this machine.

    Raises:
        UserError: there is no such run, or it has no record or no task file.
    """
    path, results = store.task_file(results, run), store.folder(results, run)
    spec, state = task_files.read(path)
    record = store.read(_record(results, spec))
    tuned = task_files.load(path)
    there = replace(spec, backbone=replace(spec.backbone, name=parse(spec.backbone.name).elsewhere))
    write_atomic(folder / TASK, task_files.packed(there, state))
    record["spec"]["backbone"]["name"] = there.backbone.name
    write_atomic(folder / RECORD, json.dumps(evidence.seal(record), indent=1) + "\n")
    plain, reason = _write_plain(tuned, spec, folder)
    digests = {file.name: _sha256(file) for file in sorted(folder.iterdir())}
    write_atomic(folder / MANIFEST, json.dumps({"run": spec.key, "sha256": digests}, indent=1) + "\n")
    facts = card.Facts(
        spec=there,
        seeds=card.seeds(results, record),
        record=record,
        repository=repository,
        revision=revision,
        python=plain,
        timm=(folder / CONFIG).exists(),
        unmerged=reason,
    )
    write_atomic(folder / CARD, card.text(facts))
    return spec


def _record(results: Path, spec: Spec) -> Path:
    path = store.record_path(results, spec)
    check(path.is_file(), f"{path} is missing, and a shared model has its numbers from there; name its --results DIR")
    return path


def _write_plain(tuned: Classifier, spec: Spec, folder: Path) -> tuple[str, str]:
    """Write a checkpoint without method where there is one. Returns how Python loads it, or why there is none."""
    try:
        merged = export.folded(tuned, spec)
    except UserError as error:
        return "", str(error)
    if loading.has_timm(merged):
        export.write_timm(merged, spec, folder)
    else:
        export.write_plain(merged, spec, folder / PLAIN)
    return ("" if merged.kind.per_point else loading.python(merged, spec, PLAIN)), ""


def manifest(text: str) -> Mapping[str, str]:
    """The SHA-256 of every file that the manifest of a repository names; "run" has the key of the run.

    Raises:
        UserError: it is no manifest of this benchmark.
    """
    try:
        values: Any = json.loads(text)
        found = {"run": values["run"], **values["sha256"]}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{MANIFEST} is no list of digests of this benchmark") from None
    fits = all(isinstance(value, str) for value in found.values()) and {RECORD, TASK} <= found.keys()
    check(fits, f"{MANIFEST} lacks a digest of {RECORD} or {TASK}")
    return found


def verify(files: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """Check that files are as the manifest of their repository says.

    Raises:
        UserError: one is not; the message has both digests.
    """
    for name, path in files.items():
        now = _sha256(path)
        told = f"{name} has the SHA-256 {now[:12]}..., and {MANIFEST} says {digests[name][:12]}...: it is damaged or"
        check(now == digests[name], f"{told} was edited; ask for another --revision, or the owner to push it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
