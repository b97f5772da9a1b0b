"""Runs whose records were made before the code of their method changed: they are told, and trained again or kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cli import warn
from benchmarks.records import store
from benchmarks.records.spec import Spec


def told(specs: Sequence[Spec], results: Path, *, keep: bool) -> list[Spec]:
    """Warn of every method whose code is not that of the records of these runs.

    With ``keep`` their records count as finished: the specs returned do not say which code they are of.
    """
    settled, records, changed = list[Spec](), Counter[str](), Counter[str]()
    for spec in specs:
        record = store.recorded(results, spec)
        outdated = record is not None and store.outdated(record, spec)
        records[spec.method] += record is not None
        changed[spec.method] += outdated
        settled.append(replace(spec, method_digest=None) if outdated and keep else spec)
    end = "are kept as they are" if keep else "are made again; --keep-outdated counts such runs as finished"
    for method, count in (+changed).items():
        made = f"other code than today's made {count} of {records[method]} records"
        warn(f"method '{method}': {made}; such records {end}")
    return settled
