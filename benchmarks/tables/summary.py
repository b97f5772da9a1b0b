"""The short table of a README: one row per method, with its mean accuracy on images and on points."""

import math
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from benchmarks.tables.accuracies import UNKNOWN, accuracies, spread
from benchmarks.tables.rows import scores, tasks_and_groups
from benchmarks.tables.table import Table, notes
from methods.errors import UserError, unknown

COLUMNS = {"image": "images", "points": "points"}  # the column of each modality
FEWEST_SEEDS = 5  # the fewest seeds of a row that has a deviation and is compared


def summary(groups: Sequence[pd.DataFrame], methods: Iterable[str]) -> Table:
    """Put the means of some methods on images and on points side by side.

    Rows are sorted by the mean over both modalities. A method that has runs of one modality alone comes last. A row of
    fewer than five seeds has its mean alone.

    Raises:
        UserError: a method has no runs or several rows, or one modality has several sets of comparable runs.
    """
    asked = list(dict.fromkeys(methods))
    known = {str(method) for group in groups for method in group["spec.method"]}
    for method in asked:
        if method not in known:
            raise UserError(unknown("method", method, known))
    of_column = _by_modality(groups)
    parts = {column: _rows(group, asked) for column, group in of_column.items()}
    means = pd.DataFrame({column: part["value"] for column, part in parts.items()}, index=asked)
    both, mean = means.notna().all(axis=1), means.mean(axis=1)
    order = sorted(asked, key=lambda method: (not both[method], -mean[method]))
    cells = pd.DataFrame({column: part["mean"] for column, part in parts.items()})
    params = [part["params"].where(part["params"] != UNKNOWN) for part in parts.values()]
    cells["parameters"] = params[0].fillna(params[-1])
    cells["seeds"] = [_merged([part["seeds"][method] for part in parts.values()]) for method in asked]
    cells["against best"] = [" / ".join(part["against best"][method] for part in parts.values()) for method in asked]
    cells = cells.loc[order].rename_axis("method")
    values = means.loc[order].reindex(columns=cells.columns).rename_axis("method")
    suites = dict.fromkeys(str(group["suite"].iloc[0]) for group in groups)
    return Table(f"{', '.join(suites)}: images and points side by side", _notes(of_column), cells, values)


def _by_modality(groups: Sequence[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return the one set of comparable runs of each modality by its column, images first."""
    found: dict[str, pd.DataFrame] = {}
    for group in groups:
        column = COLUMNS[str(group["spec.backbone.modality"].iloc[0])]
        if column in found:
            raise UserError(
                f"--summary needs runs that may be compared, and {column} have several suites, backbones or "
                "recipes here; choose one suite with --suite NAME, or another folder with --results DIR"
            )
        found[column] = group
    return {column: found[column] for column in COLUMNS.values() if column in found}


def _rows(group: pd.DataFrame, asked: Sequence[str]) -> pd.DataFrame:
    """What the leaderboard has of each method: its mean as text and as a number, parameters, seeds and verdict."""
    table = accuracies(group)
    names = {str(method): sorted(set(rows)) for method, rows in group.groupby("spec.method")["row"]}
    whole = scores(group, tasks_and_groups(group)[0]).dropna().groupby("row").size()
    few = whole.reindex(group["row"].unique(), fill_value=0) < FEWEST_SEEDS
    best = table.cells.index[table.cells["against best"] == "best"]
    found = {}
    for method in asked:
        rows = names.get(method, [])
        if len(rows) > 1:
            raise UserError(f"--summary needs one row per method, and {method} has {len(rows)}: {', '.join(rows)}")
        texts = dict(table.cells.loc[rows[0]]) if rows else dict.fromkeys(table.cells, UNKNOWN)
        value = table.values["mean"][rows[0]] if rows else math.nan
        if rows and few[rows[0]]:
            texts["mean"] = spread(value, math.nan)
        if rows and few[[rows[0], *best]].any() and rows[0] not in best:
            texts["against best"] = UNKNOWN
        found[method] = [texts["mean"], value, texts["params"], texts["seeds"], texts["against best"]]
    return pd.DataFrame.from_dict(found, orient="index", columns=["mean", "value", "params", "seeds", "against best"])


def _merged(seeds: Sequence[str]) -> str:
    """The numbers of seeds on each modality, or the one of all."""
    own = [number for number in seeds if number != UNKNOWN]
    return own[0] if len(set(own)) == 1 else " / ".join(seeds)


def _notes(parts: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    tests = []
    for column, group in parts.items():
        tasks, backbone = group["spec.task"].nunique(), group["spec.backbone.name"].iloc[0]
        tests.append(f"{column.capitalize()}: {tasks} tasks on {backbone}.")
    metric = " or ".join(dict.fromkeys(str(group["metric"].iloc[0]) for group in parts.values()))
    return notes("summary", metric=metric, tests=" ".join(tests), columns=" / on ".join(parts), fewest=FEWEST_SEEDS)
