"""One JSON file per finished run: its record. A run that has not finished leaves a trace instead."""

import json
import multiprocessing
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from socket import gethostname
from typing import Any, cast

import orjson

from benchmarks.cli import warn
from benchmarks.files.places import check_plain, hidden
from benchmarks.files.sharing import make_folder
from benchmarks.files.writing import write_atomic
from benchmarks.records import evidence, shared
from benchmarks.records.spec import Result, Spec, stem_of
from methods.errors import UserError, check

RUNS, ADAPTERS, UNFINISHED = "runs", "adapters", "unfinished"
TASK_FILE = ".safetensors"
LARGEST = 2**26  # bytes of a record; one with 100,000 epochs has 16 MB
MOST_WARNINGS = 10
KEPT = ".bad"  # what a bad record's name ends in once its run has a new one


class BadRecord(UserError):
    """A file below RUNS that is not the record of the finished run that its name says."""


def record_path(results: Path, spec: Spec) -> Path:
    """The file of a run's record."""
    return results / RUNS / f"{spec.stem}.json"


def adapter_path(results: Path, spec: Spec) -> Path:
    """The task file of a run, which holds its trained tensors."""
    return results / ADAPTERS / f"{spec.stem}{TASK_FILE}"


def trace_path(results: Path, spec: Spec) -> Path:
    """The file that says why a run has no record."""
    return results / UNFINISHED / f"{spec.stem}.json"


def scratch_path(results: Path, spec: Spec) -> Path:
    """The folder where a run of several stages keeps the outcomes of finished stages until the run is finished."""
    return results / UNFINISHED / spec.stem


def prepare(results: Path) -> None:
    """Make the results folder, and check that files can be written to it.

    Raises:
        UserError: they cannot, or would be written elsewhere; the message says why.
    """
    check_inside(results)
    probe = results / f".writable-{os.getpid()}"
    try:
        make_folder(results / RUNS)
        probe.write_text("")
        probe.unlink()
        list((results / RUNS).iterdir())
    except OSError as error:
        raise UserError(f"cannot use results folder {results}: {error.strerror}; give another with --results") from None


def check_inside(results: Path) -> None:
    """Check that everything below a results folder is in it. The folder itself may be a link.

    Raises:
        UserError: a folder below it is a link, through which files would be written elsewhere.
    """
    for folder, inside, _ in os.walk(results):
        links = [path for name in inside if os.path.islink(path := f"{folder}/{name}")]
        check(
            not links, f"{', '.join(links)}: a link to a folder, and results are not written through a link; remove it"
        )


def finished(results: Path, spec: Spec) -> bool:
    """Whether the run of this spec has a record that the present code of its method made.

    A bad record is named in a warning, and does not count.
    """
    record = recorded(results, spec)
    return record is not None and not outdated(record, spec)


def recorded(results: Path, spec: Spec) -> dict[str, Any] | None:
    """The record of this spec's run, if there is one. A bad one is named in a warning, and does not count."""
    path = record_path(results, spec)
    try:
        return read(path) if path.exists() else None
    except BadRecord as error:
        _warn_once(f"{error}; the run is executed again, and the file is kept as {path.name}{KEPT}")
        return None


def outdated(record: Mapping[str, Any], spec: Spec) -> bool:
    """Whether other code of the method made a record. A record that does not tell its code is not outdated."""
    before, now = record.get("method_digest"), spec.method_digest
    return None not in (before, now) and before != now


def write(results: Path, result: Result) -> Path:
    """Write the record of a finished run, whole or not at all, and delete the trace of earlier attempts."""
    path = record_path(results, result.spec)
    record = evidence.seal(_parsed(json.dumps(result.to_json()).encode()))
    before = recorded(results, result.spec)
    if path.exists() and before is None:
        path.replace(path.with_name(path.name + KEPT))
    write_atomic(path, json.dumps(record, indent=1) + "\n")
    if before is not None:
        shared.note(results, record, before["tuning"])
    trace_path(results, result.spec).unlink(missing_ok=True)
    shutil.rmtree(scratch_path(results, result.spec), ignore_errors=True)
    return path


def write_trace(
    results: Path,
    spec: Spec,
    status: str,
    reason: str,
    *,
    progress: Mapping[str, Any] | None = None,
    traceback: str = "",
) -> Path:
    """Write a trace: the run has started, has failed or was interrupted. A killed run leaves the status "started"."""
    trace = {"status": status, "reason": reason, "key": spec.key, "host": gethostname(), "pid": os.getpid()}
    trace |= {"progress": progress, "traceback": traceback.splitlines(), "spec": spec.to_json()}
    path = trace_path(results, spec)
    write_atomic(path, json.dumps(trace, indent=1) + "\n")
    return path


def read_trace(results: Path, spec: Spec) -> dict[str, Any] | None:
    """The last trace of a run; None if there is none that can be read."""
    try:
        return cast("dict[str, Any]", json.loads(trace_path(results, spec).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def read(path: str | Path) -> dict[str, Any]:
    """One record as a dict.

    Raises:
        BadRecord: the file cannot be read, or is not the record of the finished run that its name says.
    """
    path = str(path)
    try:
        size = check_plain(path).st_size
        check(size <= LARGEST, f"it has {size} bytes, and no record has more than {LARGEST}")
        with open(path, "rb") as file:
            content = file.read()
    except (OSError, UserError) as error:
        raise BadRecord(f"record {path}: {error}") from None
    return parsed(content, path)


def parsed(content: bytes, path: str) -> dict[str, Any]:
    """The record that a file holds.

    Raises:
        BadRecord: the content is not the record of the finished run that the last part of ``path`` says.
    """
    try:
        record = _parsed(content)
        evidence.examine(record)
        name = stem_of(record["spec"], record["key"]).rpartition("/")[2] + ".json"
        check(path.rpartition("/")[2] == name, f"its name must be {name}, that of its run")
    except (ValueError, RecursionError) as error:  # a UserError is a ValueError
        raise BadRecord(f"record {path}: {error}") from None
    return cast("dict[str, Any]", record)


def find(results: Path, run: str) -> dict[str, Any]:
    """The record of one run, given its path, the start of its key, or the start of its file's name.

    Raises:
        UserError: no run or several runs have this name; the message lists them.
    """
    if Path(run).is_file():
        return read(run)
    paths = [(path, Path(path).stem) for path in _paths(results)]
    found = [(path, stem) for path, stem in paths if stem.startswith(run) or stem.rpartition("-")[2].startswith(run)]
    if len(found) != 1:
        lists = f"python -m benchmarks.runs --results {shlex.quote(str(results))} lists them"
        names = ", ".join(stem for _, stem in found[:5]) + (" ..." if len(found) > 5 else "")
        which = f"{len(found)} runs ({names})" if found else "no run"
        raise UserError(f"'{run}' names {which} below {results / RUNS}; give a record's path or key; {lists}")
    return read(found[0][0])


def folder(results: Path, run: str) -> Path:
    """The results folder of one run: the one that ``run`` lies in, if that is the path of a file, else ``results``."""
    above = Path(run).parents
    inside = Path(run).is_file() and len(above) > 3 and above[2].name in (RUNS, ADAPTERS)
    return above[3] if inside else results


def task_file(results: Path, run: str) -> Path:
    """The task file of one run, given its own path, or what ``find`` takes."""
    if run.endswith(TASK_FILE):
        return Path(run)
    record, results = find(results, run), folder(results, run)
    return results / ADAPTERS / f"{stem_of(record['spec'], record['key'])}{TASK_FILE}"


def each(results: Path) -> Iterator[dict[str, Any]]:
    """The record of every finished run below a results folder, one at a time, ordered by path.

    Records that are bad, and copies of records, are named in warnings and left out.

    Raises:
        UserError: a folder below the results is a link, so that what is made of the records would be written elsewhere.
    """
    check_inside(results)
    bad, seen = 0, dict[tuple[float, ...], str]()
    for path in _paths(results):
        try:
            record = read(path)
            _check_place(results, path, record)
            times = evidence.times(record)
            first = path if times is None else seen.setdefault(times, path)
            if first != path:
                raise BadRecord(f"record {path}: it has the measured times of {first}, so one is a copy of the other")
        except BadRecord as error:
            bad += 1
            if bad <= MOST_WARNINGS:
                _warn_once(f"{error}; it is left out")
        else:
            yield record
    if bad > MOST_WARNINGS:
        _warn_once(f"{bad - MOST_WARNINGS} more records below {results / RUNS} are bad and left out")


def records(results: Path) -> list[dict[str, Any]]:
    """All records below a results folder. For very many runs ``tables.reader.load`` needs much less memory."""
    return list(each(results))


def _check_place(results: Path, path: str, record: Mapping[str, Any]) -> None:
    place = f"{results / RUNS}/{stem_of(record['spec'], record['key'])}.json"
    if path != place:
        what = f"it is a copy of {place}" if os.path.exists(place) else f"its place is {place}"
        raise BadRecord(f"record {path}: {what}")


def _paths(results: Path) -> list[str]:
    """The files below RUNS that may be records, by the parts of their paths. No link to a folder is followed."""
    found = []
    for folder, inside, names in os.walk(results / RUNS):
        inside[:] = [name for name in inside if not hidden(name)]
        found += [f"{folder}/{name}" for name in names if name.endswith(".json") and not hidden(name)]
    return sorted(found, key=lambda path: path.split("/"))


@cache  # a command reads a folder several times
def _warn_once(message: str) -> None:
    if multiprocessing.parent_process() is None:
        warn(message)


def _parsed(text: bytes) -> Any:
    """Parse JSON. What orjson refuses goes to Python's parser, which accepts NaN and has clearer errors."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"))
