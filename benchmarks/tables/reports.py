"""The findings on one run as tables: classes, confusions, calibration and the errors that it is most sure of."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pandas as pd

from benchmarks.tables.findings import BINS, Findings
from benchmarks.tables.formats import for_csv
from benchmarks.tables.table import Table, nothing_best

MOST = 15  # classes whose whole matrix is shown, and confusions of more classes
BAR = 20  # characters of an accuracy of 100 %


def tables(found: Findings, errors: int) -> list[Table]:
    """Classes, confusions, calibration, and the first ``errors`` errors. Tables without rows are left out."""
    made = [_classes(found), _confusion(found), _calibration(found), _errors(found, errors)]
    return [table for table in made if len(table.cells)]


def _table(title: str, head: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of texts; the first of every row is its name, in a column ``head``."""
    cells = pd.DataFrame(list(rows), columns=[head, *columns], dtype=object).set_index(head)
    return Table(title, (), cells, nothing_best(cells))


def _classes(found: Findings) -> Table:
    most = {truth: f"{found.labels[other]} ({count})" for truth, other, count in reversed(found.mistaken())}
    accuracies = found.accuracies
    worst = sorted(range(len(accuracies)), key=lambda place: (accuracies[place] is None, accuracies[place]))
    rows = [
        (_named(place, found), str(found.samples[place]), _percent(accuracies[place]), most.get(place, "-"))
        for place in worst
    ]
    columns = ("samples", "accuracy %", "most often taken for")
    return _table("Classes, the least accurate first", "class", columns, rows)


def _confusion(found: Findings) -> Table:
    """The whole matrix, or the most frequent confusions of many classes."""
    if len(found.labels) <= MOST:
        numbers = list(map(str, range(len(found.labels))))
        rows = [
            (_named(place, found), *(str(count or "") for count in counts))
            for place, counts in enumerate(found.confusion.tolist())
        ]
        return _table("Samples by true class (rows) and predicted class (columns)", "class", numbers, rows)
    pairs = [(found.labels[a], found.labels[b], str(count)) for a, b, count in found.mistaken()[:MOST]]
    return _table("The most frequent confusions", "true class", ("predicted class", "samples"), pairs)


def _named(place: int, found: Findings) -> str:
    """A class by its name, and by its number if the matrix has numbers as columns."""
    label = found.labels[place]
    return label if len(found.labels) > MOST or label == str(place) else f"{place} {label}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _calibration(found: Findings) -> Table:
    rows = [
        (
            f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
            *(str(one.samples), _percent(one.confidence), _percent(one.accuracy)),
            "".join("█" if cell < round(BAR * one.accuracy) else "░" for cell in range(BAR)),
        )
        for one in found.bins
    ]
    title = f"Calibration: expected error {_percent(found.ece)} % in {BINS} bins of the confidence"
    return _table(title, "confidence", ("samples", "mean confidence %", "accuracy %", "accuracy"), rows)


def _errors(found: Findings, most: int) -> Table:
    rows = [(one.sample, one.truth, one.predicted, _percent(one.confidence)) for one in found.errors[:most]]
    title = f"The {len(rows)} of {len(found.errors)} errors with the highest confidence"
    return _table(title, "test sample", ("true class", "predicted class", "confidence %"), rows)


def to_csv(found: Findings) -> str:
    """One row per error, the most confident first. No text can be a formula of a spreadsheet."""
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    rows.writerow(("sample", "true class", "predicted class", "confidence"))
    for one in found.errors:
        rows.writerow((*map(for_csv, (one.sample, one.truth, one.predicted)), f"{one.confidence:.6f}"))
    return content.getvalue()
