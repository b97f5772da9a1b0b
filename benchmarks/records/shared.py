"""Runs that two rows of a table share, such as a default run whose options a study then found best.

The key of a run does not say who chose its options, so it has one record, which tells who asked for it first. A note
beside the record tells who asked for it later.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.files.places import check_plain
from benchmarks.files.writing import write_atomic
from benchmarks.records import evidence
from benchmarks.records.spec import stem_of
from methods.errors import UserError

SHARED = "shared"
Tuning = Mapping[str, Any] | None  # the study that chose the options, or None if a person did


def note(results: Path, record: Mapping[str, Any], tuning: Tuning) -> None:
    """Note that the run of a record was also asked for with a ``tuning`` that is not the record's own."""
    noted = tunings(results, record)
    if tuning != record["tuning"] and tuning not in noted:
        write_atomic(_path(results, record), json.dumps({"tunings": [*noted, tuning]}, indent=1) + "\n")


def tunings(results: Path, record: Mapping[str, Any]) -> list[Tuning]:
    """Return with which tunings the run of a record was asked for, beside the record's own.

    Raises:
        UserError: the note cannot be read.
    """
    path = _path(results, record)
    if not path.exists():
        return []
    try:
        check_plain(path)
        found: list[Tuning] = json.loads(path.read_text(encoding="utf-8"))["tunings"]
        for tuning in found:
            evidence.check_tuning(tuning)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:  # a UserError is a ValueError
        raise UserError(f"cannot read {path}: {error}; remove it, and run the same command again") from None
    return [tuning for tuning in found if tuning != record["tuning"]]


def _path(results: Path, record: Mapping[str, Any]) -> Path:
    return results / SHARED / f"{stem_of(record['spec'], record['key'])}.json"
