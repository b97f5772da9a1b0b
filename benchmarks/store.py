"""One JSON file a run. A record exists only if its run finished; what did not finish leaves a trace of its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from benchmarks.files.writing import write_atomic
from benchmarks.spec import SCHEMA_VERSION

if TYPE_CHECKING:
    import pandas as pd

    from benchmarks.spec import Result, Spec
    from benchmarks.tables.columns import Histories

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
        ValueError: it cannot; the message says why.
    """
    probe = results / f".writable-{os.getpid()}"
    try:
        (results / RUNS).mkdir(parents=True, exist_ok=True)
        probe.write_text("")
        probe.unlink()
        list((results / RUNS).iterdir())
    except OSError as error:
        raise ValueError(
            f"cannot use results folder {results}: {error.strerror}; give another with --results"
        ) from None


def finished(results: Path, spec: Spec) -> bool:
    """Whether this very run has a record.

    Raises:
        ValueError: there is a record that cannot be read.
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


def write_trace(results: Path, spec: Spec, status: str, reason: str, progress: Mapping[str, Any] | None = None) -> Path:
    """Say that a run has started, failed or was interrupted; a killed run leaves status "started" behind."""
    trace = {"status": status, "reason": reason, "key": spec.key, "host": gethostname(), "pid": os.getpid()}
    trace |= {"progress": progress, "spec": spec.to_json()}
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


def read(path: Path | str) -> dict[str, Any]:
    """One record as a dict.

    Raises:
        ValueError: no JSON, not a finished run, or of another schema version.
    """
    remedy = "move it away and repeat the command"
    try:
        record = _parsed(_content(path))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read record {path}: {error}; {remedy}") from None
    needed = {"schema_version", "key", "status", "spec", "history", "accuracy", "params", "cost", "environment"}
    if not isinstance(record, dict) or not needed <= set(record) or record["status"] != "finished":
        raise ValueError(f"record {path} is not that of a finished run; {remedy}")
    if record["schema_version"] != SCHEMA_VERSION:
        raise ValueError(f"record {path} has schema version {record['schema_version']}, not {SCHEMA_VERSION}; {remedy}")
    return record


def find(results: Path, run: str) -> dict[str, Any]:
    """The record of one run, given its path or the start of its key or of its file's name.

    Raises:
        ValueError: no such run, or several; the message names them.
    """
    if Path(run).is_file():
        return read(Path(run))
    paths = sorted((results / RUNS).rglob("*.json"))
    found = [p for p in paths if p.stem.startswith(run) or p.stem.rpartition("-")[2].startswith(run)]
    if len(found) != 1:
        names = ", ".join(p.stem for p in found[:5]) + (" ..." if len(found) > 5 else "")
        which = f"{len(found)} runs ({names})" if found else "no run"
        raise ValueError(f"'{run}' names {which} below {results / RUNS}; give a record's path or key")
    return read(found[0])


def each(results: Path) -> Iterator[dict[str, Any]]:
    """Every finished run below a results folder, one at a time, in the order of the paths."""
    return map(read, _paths(results / RUNS))


def records(results: Path) -> list[dict[str, Any]]:
    """All of ``each``; of very many runs ``load`` takes a tenth of the memory."""
    return list(each(results))


def load(results: Path, suite: str | None = None) -> pd.DataFrame:
    """One row a finished run, of one suite or of all; nested fields as dotted columns, without the history.

    Raises:
        ValueError: no record, or one that cannot be read.
    """
    return load_with_histories(results, suite)[0]


def load_with_histories(
    results: Path, suite: str | None = None, later: Sequence[str] = ()
) -> tuple[pd.DataFrame, Histories]:
    """What ``load`` returns, and the histories, in which the index of the frame has the numbers of its runs.

    ``later`` names modules that a second process, if it takes one to read, imports for what comes next.
    """
    from benchmarks.tables.reader import read_all
    from methods.errors import unknown

    frame, histories = read_all(_paths(results / RUNS), later)
    if frame.empty:
        raise ValueError(f"no run records below {results / RUNS}; make some with: python -m benchmarks.run")
    if suite is None:
        return frame, histories
    if suite not in set(frame["spec.suite"]):
        raise ValueError(f"{results}: {unknown('suite', suite, set(frame['spec.suite']))}")
    return frame[frame["spec.suite"] == suite], histories


def _paths(folder: Path | str) -> list[str]:
    """What ends in .json below a folder, in the order of paths; ``sorted(rglob())`` takes seconds for 100,000."""
    found: list[str] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return found
    for entry in entries:
        if entry.name.endswith(".json"):
            found.append(entry.path)
        if entry.is_dir(follow_symlinks=False):
            found += _paths(entry.path)
    return found


def _content(path: Path | str) -> bytes:
    """A file's bytes; of small files ``open`` takes longer to look at them than to read them."""
    file = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(partial(os.read, file, 2**16), b""))
    finally:
        os.close(file)


def _parsed(text: bytes) -> Any:
    """A JSON value; where the fast reader refuses, Python's decides, which knows NaN, and words the error."""
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text.decode("utf-8"))
