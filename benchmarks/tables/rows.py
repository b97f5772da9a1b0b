"""Groups of comparable runs, and the name of the table row that each run belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

import methods
from methods.errors import UserError

MOST_OPTIONS = 3  # a row with more options is named by a letter
SAME = ("spec.suite", "spec.backbone.modality", "spec.backbone.name", "spec.backbone.sha256", "recipe", "spec.dtype")


def comparable(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Split runs into groups of comparable runs, which agree in every field of SAME.

    The new column ``row`` names the method and its options.
    """
    # the digest identifies a backbone; the path of its file, after the @, does not matter
    backbone = frame["spec.backbone.name"].str.partition("@")[0]
    frame = frame.assign(row=_names(frame), recipe=_recipes(frame), **{"spec.backbone.name": backbone})
    return [_shortened(_data_apart(group)) for _, group in frame.groupby(list(SAME), sort=True)]


def _data_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Give runs on another version of a task's data their own row, so that the two are never averaged."""
    versions = frame.groupby("spec.task")["spec.data_fingerprint"].transform("nunique")
    if (versions == 1).all():
        return frame
    named = frame["row"] + " data=" + frame["spec.data_fingerprint"].str[:8]
    return frame.assign(row=frame["row"].where(versions == 1, named))


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Name rows with many options by a letter; the new column ``options`` lists the options behind it."""
    long = sorted(row for row in frame["row"].unique() if row.count("=") > MOST_OPTIONS)
    if not long:
        return frame.assign(options="")
    letters = {row: f"{row.split()[0]} [{_letter(number)}]" for number, row in enumerate(long)}
    options = frame["row"].where(frame["row"].isin(long), "").str.partition(" ")[2]
    return frame.assign(row=frame["row"].replace(letters), options=options)


def _letter(number: int) -> str:
    """Count with letters: a to z, then aa, ab and so on."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)


def _names(frame: pd.DataFrame) -> list[str]:
    """Name the row of each run: its method, and the options that are not at their defaults.

    Tuning may find other options on each task, but all tasks belong to one row. The name of a tuned run therefore has
    only the options that the study held fixed. Runs of equal method, configuration and study are named once.
    """
    defaults = {method: _defaults(str(method)) for method in frame["spec.method"].unique()}
    runs = [frame["spec.method"], *(frame[column].fillna("{}") for column in ("spec.config", "tuning"))]
    named = {
        (method, config, study): _name(method, json.loads(config), json.loads(study), defaults[method])
        for method, config, study in set(zip(*runs, strict=True))
    }
    return [named[run] for run in zip(*runs, strict=True)]


def _defaults(method: str) -> dict[str, Any]:
    """Return the default options of a method, or no options if the method is not installed."""
    try:
        return methods.defaults(method)
    except UserError:
        return {}


def _recipes(frame: pd.DataFrame) -> pd.Series[str]:
    """Return each run's recipe as text with sorted fields, so that equal recipes have equal texts."""
    recipes = frame["spec.recipe"]
    return recipes.map({text: json.dumps(json.loads(text), sort_keys=True) for text in recipes.unique()})


def _name(method: str, config: Mapping[str, Any], study: Mapping[str, Any], default: Mapping[str, Any]) -> str:
    given = {option: value for option, value in sorted(config.items()) if value is not None}
    named = study["fixed"] if study else given
    changed = [f"{k}={v}" for k, v in given.items() if k in named and _plain(default.get(k)) != _plain(v)]
    return " ".join([method, *changed, *([_search(study)] if study else [])])


def _search(study: Mapping[str, Any]) -> str:
    seed = study["search_seed"]
    return f"tuned, {study['trials']} trials" + (f" of seed {seed}" if seed else "")


def in_figures(rows: Iterable[str]) -> tuple[dict[str, str], str]:
    """Return a short name per row for figures, and an ending for the title.

    If all rows were tuned alike, the ending describes the tuning and the short names leave it out.
    """
    rows = list(rows)
    tuned = {row.partition(" ")[2] for row in rows}
    ending = f" {tuned.pop()}" if len(tuned) == 1 else ""
    if not ending.startswith(" tuned"):
        return {row: row for row in rows}, ""
    return {row: row.removesuffix(ending) for row in rows}, f",{ending}"


def recipe_text(run: pd.Series[Any]) -> str:
    """List every field of a run's recipe. A record has a newer field only if its value is not the default."""
    return ", ".join(f"{name} {value}" for name, value in json.loads(run["spec.recipe"]).items())


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
