"""One JSON file per finished run: its record. A run that has not finished leaves a trace instead."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import gethostname
from typing import Any, cast

import orjson

from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import SCHEMA_VERSION, Result, Spec
from methods.errors import UserError

RUNS, ADAPTERS, UNFINISHED = "runs", "adapters", "unfinished"


def record_path(results: Path, spec: Spec) -> Path:
    """The file of a run's record."""
    return results / RUNS / f"{spec.stem}.json"


def adapter_path(results: Path, spec: Spec) -> Path:
    """The task file of a run, which holds its trained tensors."""
    return results / ADAPTERS / f"{spec.stem}.safetensors"


def trace_path(results: Path, spec: Spec) -> Path:
    """The file that says why a run has no record."""
    return results / UNFINISHED / f"{spec.stem}.json"


def scratch_path(results: Path, spec: Spec) -> Path:
    """The folder where a run of several stages keeps the outcomes of finished stages until the run is finished."""
    return results / UNFINISHED / spec.stem


def prepare(results: Path) -> None:
    """Make the results folder, and check that files can be written to it.

    Raises:
        UserError: they cannot; the message says why.
    """
    probe = results / f".writable-{os.getpid()}"
    try:
        (results / RUNS).mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
        list((results / RUNS).iterdir())
    except OSError as error:
        raise UserError(f"cannot use results folder {results}: {error.strerror}; give another with --results") from None


def finished(results: Path, spec: Spec) -> bool:
    """Whether the run of this spec has a record.

    Raises:
        UserError: there is a record, but it cannot be read.
    """
    path = record_path(results, spec)
    return path.exists() and bool(read(path))


def write(results: Path, result: Result) -> Path:
    """Write the record of a finished run, whole or not at all, and delete the trace of earlier attempts."""
    path = record_path(results, result.spec)
    write_atomic(path, json.dumps(result.to_json(), indent=1) + "\n")
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


def read(path: Path) -> dict[str, Any]:
    """One record as a dict.

    Raises:
        UserError: the file is no JSON, no record of a finished run, or has another schema version.
    """
    remedy = "move it away and repeat the command"
    check_plain(path)
    try:
        record = _parsed(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read record {path}: {error}; {remedy}") from None
    if not isinstance(record, dict) or record.get("status") != "finished" or not _has_fields(record):
        raise UserError(f"record {path} is not that of a finished run; {remedy}")
    if record["schema_version"] != SCHEMA_VERSION:
        raise UserError(f"record {path} has schema version {record['schema_version']}, not {SCHEMA_VERSION}; {remedy}")
    return record


def _has_fields(record: Mapping[str, Any]) -> bool:
    """Return whether a record has every field, each of its JSON type, and a test accuracy."""
    types = {"spec": dict, "history": list, "accuracy": dict, "params": dict, "cost": dict, "environment": dict}
    whole = {"schema_version", "key", *types} <= set(record)
    typed = whole and all(isinstance(record[name], kind) for name, kind in types.items())
    return typed and isinstance(record.get("report", {}), dict) and "test" in record["accuracy"]


def find(results: Path, run: str) -> dict[str, Any]:
    """The record of one run, given its path, the start of its key, or the start of its file's name.

    Raises:
        UserError: no run or several runs have this name; the message lists them.
    """
    if Path(run).is_file():
        return read(Path(run))
    paths = sorted((results / RUNS).rglob("*.json"))
    found = [p for p in paths if p.stem.startswith(run) or p.stem.rpartition("-")[2].startswith(run)]
    if len(found) != 1:
        names = ", ".join(p.stem for p in found[:5]) + (" ..." if len(found) > 5 else "")
        which = f"{len(found)} runs ({names})" if found else "no run"
        raise UserError(f"'{run}' names {which} below {results / RUNS}; give a record's path or key")
    return read(found[0])


def each(results: Path) -> Iterator[dict[str, Any]]:
    """The record of every finished run below a results folder, one at a time, ordered by path."""
    return map(read, sorted((results / RUNS).rglob("*.json")))


def records(results: Path) -> list[dict[str, Any]]:
    """All records below a results folder. For very many runs ``tables.reader.load`` needs much less memory."""
    return list(each(results))


def _parsed(text: bytes) -> Any:
    """Parse JSON. What orjson refuses goes to Python's parser, which accepts NaN and has clearer errors."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"))
