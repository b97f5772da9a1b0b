"""Which runs may be compared, and the row of a table that each belongs to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.tables.columns import coded, kinds_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MOST_OPTIONS = 3  # in the name of a row
SAME = ("spec.suite", "spec.backbone.modality", "spec.backbone.name", "spec.backbone.sha256", "recipe", "spec.dtype")


def comparable(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The records by what must be equal to compare them; ``row`` names the method and its options."""
    # a backbone is known by its digest, wherever its file lay
    backbone = frame["spec.backbone.name"].str.partition("@")[0]
    frame = frame.assign(row=_names(frame), recipe=_recipes(frame), **{"spec.backbone.name": backbone})
    return [_shortened(_data_apart(group)) for _, group in frame.groupby(list(SAME), sort=True)]


def _data_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of their own for runs on another version of a task's data, so that the two are never averaged."""
    versions = frame.groupby("spec.task")["spec.data_fingerprint"].transform("nunique")
    if (versions == 1).all():
        return frame
    named = frame["row"] + " data=" + frame["spec.data_fingerprint"].str[:8]
    return frame.assign(row=frame["row"].where(versions == 1, named))


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose options would fill a line get a letter; ``options`` has what it stands for."""
    long = sorted(row for row in frame["row"].unique() if row.count("=") > MOST_OPTIONS)
    if not long:
        return frame.assign(options="")
    letters = {row: f"{row.split()[0]} [{_letter(number)}]" for number, row in enumerate(long)}
    options = frame["row"].where(frame["row"].isin(long), "").str.partition(" ")[2]
    return frame.assign(row=frame["row"].replace(letters), options=options)


def _letter(number: int) -> str:
    """a to z, then aa, ab and so on."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)


def _names(frame: pd.DataFrame) -> NDArray[np.object_]:
    """The method, and those of its options that are not at their defaults; of a tuned run, those that were held fixed.

    What was tuned may differ from task to task: a row is one way to choose options, and all tasks are of it.
    """
    defaults = {method: _defaults(str(method)) for method in frame["spec.method"].unique()}
    columns = ["spec.method", *_below(frame, "spec.config."), *_below(frame, "tuning.")]
    return _each_kind(frame, columns, lambda record: _name(record, defaults[record["spec.method"]]))


def _defaults(method: str) -> dict[str, Any]:
    """The options of a method; none of one that this installation has not."""
    import methods

    try:
        return methods.defaults(method)
    except ValueError:
        return {}


def _recipes(frame: pd.DataFrame) -> NDArray[np.object_]:
    """One text for equal recipes."""
    return _each_kind(frame, _below(frame, "spec.recipe."), lambda recipe: json.dumps(recipe, default=str))


def _below(frame: pd.DataFrame, prefix: str) -> list[str]:
    return sorted(str(column) for column in frame if str(column).startswith(prefix))


def _each_kind(
    frame: pd.DataFrame, columns: Sequence[str], text: Callable[[dict[Any, Any]], str]
) -> NDArray[np.object_]:
    """``text`` of the columns of every row, called once for all rows that are alike: there are few kinds."""
    import numpy as np

    kinds, first = kinds_of([coded(frame[column])[0] for column in columns], len(frame))
    records = frame[list(columns)].iloc[first].to_dict("records")
    texts: NDArray[np.object_] = np.array([text(record) for record in records], dtype=object)[kinds]
    return texts


def _name(record: Mapping[Any, Any], default: Mapping[str, Any]) -> str:
    given = {str(k).removeprefix("spec.config."): v for k, v in record.items() if str(k).startswith("spec.config.")}
    typed = {k: restored(v, default.get(k)) for k, v in sorted(given.items()) if not missing(v)}
    tuned = not missing(record.get("tuning.trials"))
    named = record["tuning.fixed"] if tuned else typed
    changed = [f"{k}={v}" for k, v in typed.items() if k in named and _plain(default.get(k)) != _plain(v)]
    return " ".join([str(record["spec.method"]), *changed, *([_search(record)] if tuned else [])])


def _search(record: Mapping[Any, Any]) -> str:
    seed = int(record["tuning.search_seed"])
    return f"tuned, {int(record['tuning.trials'])} trials" + (f" of seed {seed}" if seed else "")


def in_figures(rows: Iterable[str]) -> tuple[dict[str, str], str]:
    """The names of rows where space is short, and what their title then says: if all are tuned alike, it says so."""
    rows = list(rows)
    tuned = {row.partition(" ")[2] for row in rows}
    ending = f" {tuned.pop()}" if len(tuned) == 1 else ""
    if not ending.startswith(" tuned"):
        return {row: row for row in rows}, ""
    return {row: row.removesuffix(ending) for row in rows}, f",{ending}"


def recipe_text(run: pd.Series[Any]) -> str:
    """Every field of a recipe; one that records were given later is named only where it is off its default."""
    import dataclasses

    from benchmarks.records.spec import Recipe

    fields = {str(k).removeprefix("spec.recipe."): v for k, v in run.items() if str(k).startswith("spec.recipe.")}
    default = {field.name: field.default for field in dataclasses.fields(Recipe)}
    named = {name: restored(value, default.get(name)) for name, value in fields.items() if not missing(value)}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def restored(value: Any, default: Any) -> Any:
    """An integer again, where a column with gaps made it a float."""
    return int(value) if isinstance(value, float) and value.is_integer() and not isinstance(default, float) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
