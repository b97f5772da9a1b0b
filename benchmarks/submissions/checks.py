"""The checks of a pack: what is wrong with it, as one line per fault, by the name of the check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import suites
from benchmarks.files.root import Missing
from benchmarks.records import evidence, packs, store
from benchmarks.records.spec import Spec
from benchmarks.submissions import counts, plausible
from methods.errors import UserError

Values = Mapping[str, Any]
Faults = dict[str, list[str]]  # by the name of the check


def faults(pack: Path, results: Path) -> tuple[Faults, list[Values]]:
    """Every fault of a pack, and its records that are sound. ``results`` holds our records, and packs of others.

    Raises:
        UserError: the file is no pack.
    """
    members = list(packs.each(pack))
    found: Faults = {"records are as they were written": [str(m) for _, m in members if isinstance(m, store.BadRecord)]}
    records: list[Values] = [member for _, member in members if not isinstance(member, store.BadRecord)]
    ours = store.records(results)
    others = [record for name, record in packs.submitted(results) if name != pack.stem]
    data, params = "methods, tasks and data are those of here", "parameters are those of a fresh wiring"
    found |= {data: [], params: []}
    for record in records:
        path = packs.path_of(record)
        try:
            spec = Spec.from_json(record["spec"])
            found[data] += [f"{path}: {fault}" for fault in _data_faults(spec, record)]
            found[params] += [f"{path}: {fault}" for fault in [counts.fault(spec, record["params"])] if fault]
        except UserError as error:
            found[data].append(f"{path}: {error}")
    found["no record is a copy"] = _copies(records, [*ours, *others])
    lines, tested = plausible.faults(records, ours)
    found[f"accuracies are plausible beside ours ({tested} t-tests)"] = lines
    return found, records


def _data_faults(spec: Spec, record: Values) -> list[str]:
    """How a record differs from the task of here. Data that are missing here are not compared."""
    suite = suites.get(spec.suite)
    if spec.task not in suite.tasks:
        return [f"suite {spec.suite} has no task {spec.task}"]
    task, lines = suite.tasks[spec.task], []
    for what, theirs, own in (
        ("suite_version", spec.suite_version, suite.version),
        ("classes", spec.classes, task.classes),
        ("test_samples", record["accuracy"]["test_samples"], task.test),
        ("data_fingerprint", spec.data_fingerprint, _fingerprint(suite.of_seed(spec.seed), spec)),
    ):
        lines += [f"{what} is {theirs}, and {own} here"] if theirs != own else []
    return lines


def _fingerprint(suite: suites.Suite, spec: Spec) -> str:
    try:
        return suite.fingerprint(spec.task)
    except Missing:
        return spec.data_fingerprint


def _copies(records: Sequence[Values], others: Iterable[Values]) -> list[str]:
    """Runs whose measured times, which no two runs have in common, are those of another record."""
    seen = {times: f"a record of {record['key']} here" for record in others if (times := evidence.times(record))}
    lines = []
    for record in records:
        times, path = evidence.times(record), packs.path_of(record)
        if times is not None and (first := seen.setdefault(times, path)) != path:
            lines.append(f"{path}: it has the measured times of {first}")
    return lines
