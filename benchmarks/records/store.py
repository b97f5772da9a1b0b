"""One JSON file a run. A record exists only if its run finished; what did not finish leaves a trace of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from benchmarks.files.writing import write_atomic
from benchmarks.records.spec import SCHEMA_VERSION
from methods.errors import UserError

if TYPE_CHECKING:
    from benchmarks.records.spec import Result, Spec

RUNS, ADAPTERS, UNFINISHED = "runs", "adapters", "unfinished"


def record_path(results: Path, spec: Spec) -> Path:
    return results / RUNS / f"{spec.stem}.json"


def adapter_path(results: Path, spec: Spec) -> Path:
    return results / ADAPTERS / f"{spec.stem}.safetensors"


def trace_path(results: Path, spec: Spec) -> Path:
    """Where a run that has no record says why."""
    return results / UNFINISHED / f"{spec.stem}.json"


def scratch_path(results: Path, spec: Spec) -> Path:
    """Where a run of several stages keeps what it has done until it is finished."""
    return results / UNFINISHED / spec.stem


def prepare(results: Path) -> None:
    """Make the results folder and see that it can be written.

    Raises:
        UserError: it cannot; the message says why.
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
    """Whether this very run has a record.

    Raises:
        UserError: there is a record that cannot be read.
    """
    path = record_path(results, spec)
    return path.exists() and bool(read(path))


def write(results: Path, result: Result) -> Path:
    """Write a finished run's record, all of it or nothing, and drop the trace of earlier attempts."""
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
    """Write down that a run has started, failed or was interrupted; a killed run leaves status "started" behind."""
    trace = {"status": status, "reason": reason, "key": spec.key, "host": gethostname(), "pid": os.getpid()}
    trace |= {"progress": progress, "traceback": traceback.splitlines(), "spec": spec.to_json()}
    path = trace_path(results, spec)
    write_atomic(path, json.dumps(trace, indent=1) + "\n")
    return path


def read_trace(results: Path, spec: Spec) -> dict[str, Any] | None:
    """What was last said of a run without a record, if anything was."""
    try:
        trace: dict[str, Any] = json.loads(trace_path(results, spec).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return trace


def read(path: Path) -> dict[str, Any]:
    """One record as a dict.

    Raises:
        UserError: no JSON, not a finished run, or of another schema version.
    """
    remedy = "move it away and repeat the command"
    try:
        record = _parsed(path.read_bytes())
    except (OSError, ValueError) as error:
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
    """The record of one run, given its path or the start of its key or of its file's name.

    Raises:
        UserError: no such run, or several; the message names them.
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
    """Every finished run below a results folder, one at a time, in the order of the paths."""
    return map(read, sorted((results / RUNS).rglob("*.json")))


def records(results: Path) -> list[dict[str, Any]]:
    """All of ``each``. Of very many runs ``tables.reader.load`` needs much less memory."""
    return list(each(results))


def _parsed(text: bytes) -> Any:
    """Parse JSON. Python's parser is asked where orjson refuses: it accepts NaN, and its errors are clearer."""
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"))
