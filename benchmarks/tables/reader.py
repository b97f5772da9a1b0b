"""Reading run records into one table: one row per run, one column per field."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from benchmarks import suites
from benchmarks.records import packs, store
from benchmarks.records import shared as notes
from benchmarks.records.spec import Spec
from benchmarks.suites import groups
from methods.errors import UserError, unknown

# The fields of these objects differ from run to run, so each object is one column of JSON text.
TEXTS = ("spec.config", "spec.recipe", "environment.packages", "report", "tuning")
HISTORY = "history."
PACK = "pack"  # the column with the name of the pack that others submitted
GROUP = "group"  # the column with the group of the task, where groups are kept beside the records


def load(results: Path, suite: str | None = None, *, shared: bool = False) -> pd.DataFrame:
    """Read the finished runs below a results folder, of one suite or of all, ordered by the path of the record.

    With ``shared`` a run that two rows of a table share comes twice, with the ``tuning`` of each row. Runs that others
    submitted come last. The column PACK names their packs; it is there if there are any.

    Raises:
        UserError: there is no record, or the suite has none.
    """
    frame = found(results, shared=shared)
    if frame.empty:
        raise UserError(f"no run records below {results / store.RUNS}; make some with: python -m benchmarks.run")
    if suite is None:
        return frame
    suites = set(frame["spec.suite"])
    if suite not in suites:
        raise UserError(f"{results}: {unknown('suite', suite, suites)}")
    return frame[frame["spec.suite"] == suite]


def found(results: Path, *, shared: bool = False) -> pd.DataFrame:
    """Read what ``load`` reads, of every suite. The result is empty if there is no record."""
    own = for_rows(results) if shared else store.each(results)
    theirs = (record | {PACK: pack} for pack, record in packs.submitted(results))
    return _grouped(to_frame(chain(own, theirs)), results)


def _grouped(frame: pd.DataFrame, results: Path) -> pd.DataFrame:
    """Add the column GROUP where groups are kept for the suites of a person's own files."""
    if frame.empty:
        return frame
    runs, own = results / store.RUNS, set(frame["spec.suite"]) - set(suites.names())
    kept = {(suite, task): group for suite in own for task, group in groups.read(runs / suite / groups.FILE).items()}
    if not kept:
        return frame
    tasks = zip(frame["spec.suite"], frame["spec.task"], strict=True)
    frame[GROUP] = [kept.get(task) for task in tasks]
    return frame


def ours(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the runs that nobody submitted."""
    return frame[frame[PACK].isna()] if PACK in frame else frame


def for_rows(results: Path) -> Iterator[dict[str, Any]]:
    """Yield the record of every finished run, as often as there are rows that it belongs to."""
    for record in store.each(results):
        yield record
        for tuning in notes.tunings(results, record):
            yield record | {"tuning": tuning}


def asked(frame: pd.DataFrame, specs: Iterable[Spec]) -> pd.DataFrame:
    """Return the runs of these specs, in the rows that they were asked for."""
    wanted = {(spec.key, _text(spec.tuning)) for spec in specs}
    rows = zip(frame["key"], frame["tuning"], strict=True)
    return frame[
        [(key, _text(orjson.loads(tuning) if isinstance(tuning, str) else None)) in wanted for key, tuning in rows]
    ]


def _text(tuning: Any) -> bytes:
    return orjson.dumps(tuning, option=orjson.OPT_SORT_KEYS)


def to_frame(records: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Turn records into a table with one row per record.

    Nested fields become columns with dotted names, such as ``accuracy.test`` and ``spec.recipe.epochs``. The objects
    named in TEXTS become JSON text, and None where they are empty. Each field of the history becomes a column
    ``history.FIELD`` of arrays, which hold one float per epoch, or None. The names of classes are left out.
    """
    return pd.DataFrame([_row(record) for record in records])


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(TEXTS)
    for name, value in record.items():
        if name == "history":
            row |= _curves(value)
        elif name != "labels":  # up to a thousand names per record, which no table needs
            _put(row, name, value)
    return row


def _put(row: dict[str, Any], name: str, value: Any) -> None:
    if name in TEXTS:
        row[name] = orjson.dumps(value).decode() if value else None
        if name != "spec.recipe":  # its fields also become columns, for tables and figures
            return
    if isinstance(value, dict):
        for part, inner in value.items():
            _put(row, f"{name}.{part}", inner)
    else:
        row[name] = value


def _curves(history: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    curves = {}
    for field in dict.fromkeys(name for epoch in history for name in epoch):
        numbers = [epoch.get(field) for epoch in history]
        known = any(number is not None for number in numbers)
        curves[HISTORY + field] = np.array(numbers, dtype=float) if known else None
    return curves
