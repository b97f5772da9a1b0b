"""The short table of a README: one row per method, with its mean accuracy on images and on points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd

from benchmarks.tables.accuracies import UNKNOWN, accuracies
from benchmarks.tables.table import Table
from methods.errors import UserError, unknown

COLUMNS = {"image": "images", "points": "points"}  # the column of each modality


def summary(groups: Sequence[pd.DataFrame], methods: Iterable[str]) -> Table:
    """Put the means of some methods on images and on points side by side.

    Rows are sorted by the mean over both modalities. A method that has runs of one modality alone comes last.

    Raises:
        UserError: a method has no runs or several rows, or one modality has several sets of comparable runs.
    """
    asked = list(dict.fromkeys(methods))
    known = {str(method) for group in groups for method in group["spec.method"]}
    for method in asked:
        if method not in known:
            raise UserError(unknown("method", method, known))
    parts = {COLUMNS[modality]: _rows(group, asked) for modality, group in _by_modality(groups).items()}
    means = pd.DataFrame({column: part["value"] for column, part in parts.items()}, index=asked)
    both, mean = means.notna().all(axis=1), means.mean(axis=1)
    order = sorted(asked, key=lambda method: (not both[method], -mean[method]))
    cells = pd.DataFrame({column: part["mean"] for column, part in parts.items()})
    params = [part["params"].where(part["params"] != UNKNOWN) for part in parts.values()]
    cells["parameters"] = params[0].fillna(params[-1])
    cells["against best"] = [" / ".join(part["against best"][method] for part in parts.values()) for method in asked]
    cells = cells.loc[order].rename_axis("method")
    values = means.loc[order].reindex(columns=cells.columns).rename_axis("method")
    return Table(_title(groups), _notes(groups, list(parts)), cells, values)


def _by_modality(groups: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The one set of comparable runs of each modality, images first."""
    found: dict[str, pd.DataFrame] = {}
    for group in groups:
        modality = str(group["spec.backbone.modality"].iloc[0])
        if modality in found:
            raise UserError(
                f"--summary needs runs that may be compared, and {COLUMNS[modality]} have several suites, backbones or "
                "recipes here; choose one suite with --suite NAME, or another folder with --results DIR"
            )
        found[modality] = group
    return {modality: found[modality] for modality in COLUMNS if modality in found}


def _rows(group: pd.DataFrame, asked: Sequence[str]) -> pd.DataFrame:
    """What the leaderboard has of each method: its mean as text and as a number, parameters and verdict."""
    table = accuracies(group)
    names = {str(method): sorted(set(rows)) for method, rows in group.groupby("spec.method")["row"]}
    found = {}
    for method in asked:
        rows = names.get(method, [])
        if len(rows) > 1:
            raise UserError(f"--summary needs one row per method, and {method} has {len(rows)}: {', '.join(rows)}")
        texts = table.cells.loc[rows[0]] if rows else dict.fromkeys(table.cells, UNKNOWN)
        value = table.values["mean"][rows[0]] if rows else math.nan
        found[method] = [texts["mean"], value, texts["params"], texts["against best"]]
    return pd.DataFrame.from_dict(found, orient="index", columns=["mean", "value", "params", "against best"])


def _title(groups: Sequence[pd.DataFrame]) -> str:
    suites = dict.fromkeys(str(group["spec.suite"].iloc[0]) for group in groups)
    return f"{', '.join(suites)}: images and points side by side"


def _notes(groups: Sequence[pd.DataFrame], columns: Sequence[str]) -> tuple[str, ...]:
    tests = []
    for modality, group in _by_modality(groups).items():
        tasks, backbone = group["spec.task"].nunique(), group["spec.backbone.name"].iloc[0]
        tests.append(f"{COLUMNS[modality].capitalize()}: {tasks} tasks on {backbone}.")
    return (
        f"Mean test accuracy in percent ± sample standard deviation over seeds. {' '.join(tests)}",
        "Parameters: those that train on the image backbone (else the point backbone), without the head. Rows are in "
        "the order of the mean of both columns; methods of one modality come last.",
        f"Against best: compared with the best of all recorded methods, on {' / on '.join(columns)}. A row is tied if "
        "a 95 % interval of the difference includes zero.",
    )
