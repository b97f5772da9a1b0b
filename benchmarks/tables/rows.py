"""Groups of comparable runs, the table row that each run belongs to, and the accuracies by row and task."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pandas as pd

import methods
from benchmarks import suites
from benchmarks.backbones.names import parse
from benchmarks.tables.reader import GROUP, PACK
from methods.errors import UserError

TUNED = " tuned, "
MOST_OPTIONS = 3  # a row with more options is named by a letter
DIGITS = 8  # of the key at the start of the last part of a study's name, which depends on the task
VERSION = "spec.suite_version"
SAME = (
    *("suite", "spec.backbone.modality", "spec.backbone.name", "spec.backbone.sha256", "recipe", "spec.dtype"),
    "metric",
)
OURS, SUBMITTED = "ours", "submitted"  # marks of rows; tables of published numbers have a third, "paper"
OTHERS = "accuracy.others."  # the start of columns with further numbers of a task


def comparable(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Split runs into groups of comparable runs, which agree in every field of SAME.

    The new column ``row`` names the method and its options, ``suite`` the suite and its version if that is not 1, and
    ``metric`` what the numbers of tasks are.
    """
    # the digest identifies a backbone; the path of its file does not matter
    backbone = frame["spec.backbone.name"].map(lambda name: parse(name).plain)
    # equal recipes have equal texts if their fields are sorted
    recipes = {text: json.dumps(json.loads(text), sort_keys=True) for text in frame["spec.recipe"].unique()}
    recipe = frame["spec.recipe"].map(recipes)
    versions = frame.get(VERSION, pd.Series(1, frame.index)).fillna(1).astype(int)  # a record leaves version 1 out
    suite = [titled(name, number) for name, number in zip(frame["spec.suite"], versions, strict=True)]
    metric = frame.get("accuracy.metric", pd.Series(None, frame.index, dtype=object)).fillna("accuracy")
    named = {"spec.backbone.name": backbone}
    frame = frame.assign(row=_by_pack(names(frame), frame), recipe=recipe, suite=suite, metric=metric, **named)
    return [_shortened(_searches_apart(_data_apart(group))) for _, group in frame.groupby(list(SAME), sort=True)]


def _by_pack(rows: list[str], frame: pd.DataFrame) -> list[str]:
    """Name the pack in the rows of runs that others submitted, so that they are never averaged with ours."""
    packs = frame[PACK].fillna("") if PACK in frame else [""] * len(frame)
    return [f"{row} ({pack})" if pack else row for row, pack in zip(rows, packs, strict=True)]


def sources(frame: pd.DataFrame) -> pd.Series[str] | None:
    """Return whether each row is ours or submitted; None if nobody has submitted any of the records that were read."""
    if PACK not in frame:
        return None
    return frame[PACK].notna().groupby(frame["row"]).first().map({True: SUBMITTED, False: OURS})


def titled(suite: str, version: int) -> str:
    """Return the name of a suite for titles, with its version if that is not 1."""
    return suite if version == 1 else f"{suite} version {version}"


def of_present(suite: str, groups: Sequence[pd.DataFrame]) -> tuple[list[pd.DataFrame], list[str]]:
    """Return the groups of comparable runs on the present version of a suite, and the names of its other versions."""
    present = titled(suite, suites.get(suite).version)
    own = [group for group in groups if group["spec.suite"].iloc[0] == suite]
    others = dict.fromkeys(str(group["suite"].iloc[0]) for group in own)
    return [group for group in own if group["suite"].iloc[0] == present], [name for name in others if name != present]


def _data_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Give runs on another version of a task's data their own row, so that the two are never averaged.

    Where a suite draws its training samples anew for every seed, only runs of one seed have the same data.
    """
    suite = str(frame["spec.suite"].iloc[0])
    drawn = suite in suites.table() and suites.get(suite).by_seed is not None
    versions = frame.groupby(["spec.task", "spec.seed"] if drawn else "spec.task")["spec.data_fingerprint"].transform(
        "nunique"
    )
    if (versions == 1).all():
        return frame
    named = frame["row"] + " data=" + frame["spec.data_fingerprint"].str[:8]
    return frame.assign(row=frame["row"].where(versions == 1, named))


def _searches_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Give runs that several searches chose for the same row, task and seed rows of their own, never averaged."""
    plain = frame["row"]
    for told in _searches(frame):
        several = frame.groupby(["row", "spec.task", "spec.seed"])["key"].transform("nunique") > 1
        affected = plain.isin(set(plain[several]))
        if not affected.any():
            break
        named = plain + " search=" + told.map(lambda text: hashlib.sha256(text.encode()).hexdigest()[:8])
        frame = frame.assign(row=frame["row"].where(~affected, named))
    return frame


def _searches(frame: pd.DataFrame) -> Iterator[pd.Series[str]]:
    """What tells the searches behind runs apart, at first without what depends on the task, and then more and more."""
    studies = frame["tuning"].map(lambda text: json.loads(text)["study"] if isinstance(text, str) else "")
    yield studies.str.rpartition("/")[2].str[DIGITS:]  # what was given to the search
    yield studies
    yield studies + frame["spec.config"].fillna("")


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Name rows with many options by a letter; the new column ``options`` lists the options behind it."""
    long = sorted(row for row in frame["row"].unique() if row.count("=") > MOST_OPTIONS)
    if not long:
        return frame.assign(options="")
    letters = {row: f"{row.split()[0]} [{_letter(number)}]{how_tuned(row)}" for number, row in enumerate(long)}
    options = frame["row"].map(lambda row: row.removesuffix(how_tuned(row)).partition(" ")[2] if row in letters else "")
    return frame.assign(row=frame["row"].replace(letters), options=options)


def _letter(number: int) -> str:
    """Count with letters: a to z, then aa, ab and so on."""
    more, last = divmod(number, 26)
    return (_letter(more - 1) if more else "") + chr(ord("a") + last)


def names(frame: pd.DataFrame) -> list[str]:
    """Name the row of each run: its method, and the options that are not at their defaults.

    Tuning may find other options on each task, but all tasks belong to one row. The name of a tuned run therefore has
    only the options that the study held fixed. Runs of equal method, configuration and study are named once.
    """
    defaults = {method: _defaults(str(method)) for method in frame["spec.method"].unique()}
    config, tuning = frame["spec.config"].fillna("{}"), frame["tuning"].fillna("{}")
    runs = list(zip(frame["spec.method"], config, tuning, strict=True))
    named = {run: _name(*run, defaults[run[0]]) for run in set(runs)}
    return [named[run] for run in runs]


def _defaults(method: str) -> dict[str, Any]:
    """Return the default options of a method, or no options if the method is not installed."""
    with suppress(UserError):
        return methods.defaults(method)
    return {}


def _name(method: str, config: str, tuning: str, default: Mapping[str, Any]) -> str:
    given = {option: value for option, value in sorted(json.loads(config).items()) if value is not None}
    study = json.loads(tuning)
    named = study["fixed"] if study else given
    words = [method, *(f"{k}={v}" for k, v in given.items() if k in named and _plain(default.get(k)) != _plain(v))]
    if study:
        seed = study["search_seed"]
        ending = f"{TUNED}{study['trials']} trials" + (f" of seed {seed}" if seed else "")
        return " ".join(words) + ending
    return " ".join(words)


def in_figures(rows: Iterable[str]) -> tuple[dict[str, str], str]:
    """Return a short name per row for figures, and an ending for the title.

    If all rows were tuned alike, the ending describes the tuning and the short names leave it out.
    """
    rows = list(rows)
    endings = {how_tuned(row) for row in rows}
    ending = endings.pop() if len(endings) == 1 else ""
    return {row: row.removesuffix(ending) for row in rows}, f",{ending}" if ending else ""


def how_tuned(row: str) -> str:
    """Return the end of a row's name that tells how it was tuned: " tuned, 12 trials", or nothing."""
    _, mark, rest = row.partition(TUNED)
    return mark + rest


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def scores(frame: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Return test accuracies in percent as (row and seed, task); NaN where a run is missing.

    ``dropna`` keeps the seeds of each row that have every task.
    """
    found = frame.pivot_table(index=["row", "spec.seed"], columns="spec.task", values="accuracy.test")
    return found.reindex(columns=tasks) * 100


def group_mean(runs: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> pd.Series[float]:
    """Return the mean of the groups' means of each run; ``runs`` is (row and seed, task) without NaN."""
    return pd.DataFrame({group: runs[list(tasks)].mean(axis=1) for group, tasks in groups.items()}).mean(axis=1)


def others(frame: pd.DataFrame) -> pd.DataFrame:
    """Return further numbers in percent as (row and seed, name): by other metrics, or on other test sets.

    A name starts with that of the task if there are several tasks.
    """
    found, several = {}, frame["spec.task"].nunique() > 1
    for column in (name for name in map(str, frame) if name.startswith(OTHERS)):
        for task, runs in frame.dropna(subset=[column]).groupby("spec.task"):
            name = column.removeprefix(OTHERS)
            found[f"{task} {name}" if several else name] = 100 * runs.groupby(["row", "spec.seed"])[column].mean()
    return pd.DataFrame(found, index=frame.groupby(["row", "spec.seed"]).size().index)


def tasks_and_groups(frame: pd.DataFrame) -> tuple[list[str], dict[str, list[str]]]:
    """Return the tasks in the order of the suite, and the tasks of each group.

    If the suite is not installed, tasks and groups are sorted by name. The groups are those kept beside the records, or
    all tasks are one group.
    """
    present = sorted(frame["spec.task"].unique())
    suite = frame["spec.suite"].iloc[0]
    if suite in suites.names():
        known = {task.name: task.group for task in suites.get(suite).tasks.values()}
    elif GROUP in frame and frame[GROUP].notna().any():
        named = frame.dropna(subset=[GROUP]).sort_values([GROUP, "spec.task"])
        known = dict(zip(named["spec.task"], named[GROUP], strict=True))
    else:
        return present, {"all": present}
    ordered = [task for task in known if task in present] + [task for task in present if task not in known]
    groups: dict[str, list[str]] = {}
    for task in ordered:
        groups.setdefault(known.get(task, "other"), []).append(task)
    return ordered, groups
