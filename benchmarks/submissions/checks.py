"""The checks of a pack: what is wrong with it, and what they could not look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import suites
from benchmarks.files.root import Missing
from benchmarks.records import evidence, packs, store
from benchmarks.records.spec import Spec
from benchmarks.submissions import counts, plausible
from methods.errors import UserError

Values = Mapping[str, Any]


@dataclass(kw_only=True)
class Check:
    """What one check found: a line per fault, and a line per thing that it could not look at.

    ``done`` says whether it could look at anything.
    """

    name: str
    faults: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    done: bool = True


def checks(pack: Path, results: Path) -> tuple[list[Check], list[Values]]:
    """Every check of a pack, and its records that are as they were written.

    ``results`` holds our records, and packs of others.

    Raises:
        UserError: the file is no pack.
    """
    members = list(packs.each(pack))
    written = [str(member) for _, member in members if isinstance(member, store.BadRecord)]
    records: list[Values] = [member for _, member in members if not isinstance(member, store.BadRecord)]
    ours = store.records(results)
    others = [record for name, record in packs.submitted(results) if name != pack.stem]
    made = [
        Check(name="records are as they were written", faults=written),
        *_as_here(records),
        Check(name="no record is a copy", faults=_copies(records, [*ours, *others])),
        _plausible(records, ours),
    ]
    return made, records


def _as_here(records: Iterable[Values]) -> list[Check]:
    """Whether the task of every record is that of here, and whether its parameters are those of a fresh wiring."""
    data, params = (
        Check(name="methods, tasks and data are those of here"),
        Check(name="parameters are those of a fresh wiring"),
    )
    for record in records:
        path = packs.path_of(record)
        try:
            spec = Spec.from_json(record["spec"])
        except UserError as error:
            data.faults.append(f"{path}: {error}")
            continue
        for check, look in ((data, _data), (params, counts.compared)):
            try:
                faults, unchecked = look(spec, record)
            except UserError as error:
                faults, unchecked = [str(error)], ""
            check.faults += [f"{path}: {fault}" for fault in faults]
            check.unchecked += [unchecked] * (unchecked not in ("", *check.unchecked))
    return [data, params]


def _data(spec: Spec, record: Values) -> tuple[list[str], str]:
    """How a record differs from the task of here, and what of it was not compared."""
    suite = suites.get(spec.suite)
    if spec.task not in suite.tasks:
        return [f"suite {spec.suite} has no task {spec.task}"], ""
    task, lines = suite.tasks[spec.task], []
    own = _fingerprint(suite.of_seed(spec.seed), spec.task)
    for what, theirs, here in (
        ("suite_version", spec.suite_version, suite.version),
        ("classes", spec.classes, task.classes),
        ("test_samples", record["accuracy"]["test_samples"], task.test),
        ("data_fingerprint", spec.data_fingerprint, own or spec.data_fingerprint),
    ):
        lines += [f"{what} is {theirs}, and {here} here"] if theirs != here else []
    return lines, "" if own else f"the fingerprint of {spec.suite}/{spec.task}: its files are not below --data-root"


def _fingerprint(suite: suites.Suite, task: str) -> str:
    try:
        return suite.fingerprint(task)
    except Missing:
        return ""


def _copies(records: Sequence[Values], others: Iterable[Values]) -> list[str]:
    """Runs whose measured times, which no two runs have in common, are those of another record."""
    seen = {times: f"a record of {record['key']} here" for record in others if (times := evidence.times(record))}
    lines = []
    for record in records:
        times, path = evidence.times(record), packs.path_of(record)
        if times is not None and (first := seen.setdefault(times, path)) != path:
            lines.append(f"{path}: it has the measured times of {first}")
    return lines


def _plausible(records: Sequence[Values], ours: Sequence[Values]) -> Check:
    """Whether accuracies are usual, where runs of ours say what is usual."""
    lines, tested, left = plausible.faults(records, ours)
    what = f"accuracies of {left} of {left + tested} groups of seeds: no runs of ours have their specs"
    name = f"accuracies are plausible beside ours ({tested} t-tests)"
    return Check(name=name, faults=lines, unchecked=[what] * bool(left), done=tested > 0)
