"""Run records to tables: which runs may be compared, a row a method, a column a task, and what searches cost."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_OPTIONS = 3  # in the name of a row
NAMED_RULES = {"best_test": "best_test (epoch chosen on the test split; only to compare with papers)"}


@dataclass(frozen=True)
class Table:
    """One comparison: runs that differ in method, task and seed alone.

    ``cells`` holds texts; ``values`` the numbers behind them where a column is one to be best in, NaN elsewhere.
    """

    title: str
    notes: tuple[str, ...]
    cells: pd.DataFrame
    values: pd.DataFrame


def tables(frame: pd.DataFrame) -> list[Table]:
    """One table for every set of runs that may be compared, in a stable order, and one for the searches among them."""
    groups = comparable(frame)
    return [*map(_table, groups), *(_searches(group) for group in groups if _searched(group).any())]


def comparable(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """The records by what must be equal to compare them; ``row`` names the method and its options."""
    # a backbone is known by its digest, wherever its file lay
    backbone = frame["spec.backbone.name"].str.partition("@")[0]
    frame = frame.assign(
        row=_row_names(frame), recipe=_joined(frame, "spec.recipe."), **{"spec.backbone.name": backbone}
    )
    same = [
        "spec.suite",
        "spec.backbone.modality",
        "spec.backbone.name",
        "spec.backbone.sha256",
        "recipe",
        "spec.dtype",
    ]
    return [_shortened(_data_apart(group)) for _, group in frame.groupby(same, sort=True)]


def _data_apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of their own for runs on another version of a task's data, so that the two are never averaged."""
    versions = frame.groupby("spec.task")["spec.data_fingerprint"].transform("nunique")
    named = frame["row"] + " data=" + frame["spec.data_fingerprint"].str[:8]
    return frame.assign(row=frame["row"].where(versions == 1, named))


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose options would fill a line get a letter; ``options`` has what it stands for."""
    long = sorted(row for row in set(frame["row"]) if row.count("=") > MOST_OPTIONS)
    letters = {row: f"{row.split()[0]} [{chr(ord('a') + number)}]" for number, row in enumerate(long)}
    options = frame["row"].where(frame["row"].isin(long), "").str.partition(" ")[2]
    return frame.assign(row=frame["row"].replace(letters), options=options)


def ppt(accuracy: float, parameters: float) -> float:
    """V-PETL Bench's performance against parameters: M exp(-log10(P / 1e7 + 1)), M in [0, 1], P without the head."""
    return accuracy * math.exp(-math.log10(parameters / 1e7 + 1))


def _table(frame: pd.DataFrame) -> Table:
    import pandas as pd

    tasks, groups = _tasks_and_groups(frame)
    rows = {name: _row(runs, tasks, groups) for name, runs in frame.groupby("row")}
    order = sorted(rows, key=lambda name: (-rows[name][1].get("mean", -1.0), name))
    cells = pd.DataFrame([rows[name][0] for name in order], index=pd.Index(order, name="method")).fillna("-")
    reported = _published(frame, groups).reindex(order).fillna("")
    if reported.any():
        cells["published"] = reported.replace("", "-")
    values = pd.DataFrame([rows[name][1] for name in order], index=cells.index).reindex(columns=cells.columns)
    first = frame.iloc[0]
    rule = first["accuracy.checkpoint_rule"]
    title = f"{first['spec.suite']}: {first['spec.backbone.modality']}, {first['spec.backbone.name']}"
    full = int(first["params.backbone"])
    notes = (
        f"Test accuracy in percent, mean ± sample standard deviation over seeds; rule {NAMED_RULES.get(rule, rule)}.",
        f"mean: of {len(tasks)} tasks; group mean: of the means of the groups {', '.join(groups)}; "
        "their deviation is that of the seeds' means.",
        f"params: trained without the head; % of the {full:,} of the backbone. seconds: median training time of a run.",
        f"Recipe: {_recipe(first)}, {first['spec.dtype']}.",
        *(f"{row}: {text}." for row, text in frame.groupby("row")["options"].first().items() if text),
    )
    return Table(title, notes, cells, values)


def _searched(frame: pd.DataFrame) -> pd.Series[bool]:
    import pandas as pd

    found = frame.get("report.search.subnets")
    return pd.Series(False, index=frame.index) if found is None else found.notna()


def _searches(frame: pd.DataFrame) -> Table:
    """What the search of an architecture cost, a row a method and task; means over seeds."""
    import pandas as pd

    runs = frame[_searched(frame)]
    spent = runs["report.supernet.seconds"] + runs["report.search.seconds"]
    columns = {
        "supernet steps": runs["report.supernet.steps"],
        "supernet seconds": runs["report.supernet.seconds"],
        "subnets judged": runs["report.search.subnets"],
        "search seconds": runs["report.search.seconds"],
        "% of training": 100 * spent / runs["cost.train_seconds"],
        "params found": runs["report.search.params"],
        "best on val": 100 * runs["report.search.val_accuracy"],
    }
    keys = [runs["row"].str.split().str[0], runs["spec.task"]]
    means = pd.DataFrame(columns).groupby(keys).mean()
    cells = means.map("{:,.0f}".format)
    cells["best on val"] = means["best on val"].map("{:.1f}".format)
    cells.insert(0, "seeds", runs.groupby(keys).size().map(str))
    cells.index = pd.Index([f"{method} on {task}" for method, task in cells.index], name="search")
    first = runs.iloc[0]
    title = f"{first['spec.suite']}: what searches cost, {first['spec.backbone.modality']}"
    note = "Means over seeds. Supernet and search come before the subnet found is trained; a run's seconds are of all."
    return Table(title, (note,), cells, cells.map(lambda cell: math.nan))


def _published(frame: pd.DataFrame, groups: dict[str, list[str]]) -> pd.Series[str]:
    """What papers report for each row's method, whatever its options here."""
    from benchmarks import published

    first = frame.iloc[0]
    where = {"backbone": str(first["spec.backbone.name"]), "augment": str(first["spec.recipe.augment"])}
    methods = frame.groupby("row")["spec.method"].first()
    return methods.map(
        lambda method: published.summary(published.find(str(first["spec.suite"]), method, **where), groups)
    )


def _row(runs: pd.DataFrame, tasks: list[str], groups: dict[str, list[str]]) -> tuple[dict[str, str], dict[str, float]]:
    """Texts and numbers of one method; a mean over tasks only where no task is missing."""
    accuracy = runs.pivot_table(index="spec.seed", columns="spec.task", values="accuracy.test") * 100
    cells, values = {"seeds": _range(accuracy.count())}, {}
    columns: dict[str, Any] = {task: accuracy[task] for task in tasks if task in accuracy}
    if len(columns) == len(tasks):
        whole = accuracy.dropna()
        means = {f"{group} mean": whole[members].mean(axis=1) for group, members in groups.items() if len(members) > 1}
        by_group = [whole[members].mean(axis=1) for members in groups.values()]
        columns |= means | {"mean": whole.mean(axis=1), "group mean": sum(by_group) / len(by_group)}
    for name, seeds in columns.items():
        cells[name], values[name] = _spread(seeds.dropna()), round(float(seeds.mean()), 1)
    one = runs.iloc[0]
    params = float(runs["params.method"].mean())  # a search finds another number each time
    cells["params"] = _range(runs["params.method"])
    cells["head"] = _range(runs["params.head"])
    cells["%"] = f"{100 * params / one['params.backbone']:.2f}"
    cells["file"] = _bytes(float(runs["params.task_file_bytes"].median()))
    cells["seconds"] = f"{runs['cost.train_seconds'].median():.1f}"
    if "mean" in values:
        values["PPT"] = round(ppt(float(columns["mean"].mean()) / 100, params), 3)
        cells["PPT"] = f"{values['PPT']:.3f}"
    return cells, values


def _tasks_and_groups(frame: pd.DataFrame) -> tuple[list[str], dict[str, list[str]]]:
    """Tasks in the suite's order and its groups; of a suite that is not installed, by name and in one group."""
    from benchmarks import suites

    present = sorted(set(frame["spec.task"]))
    suite = frame["spec.suite"].iloc[0]
    if suite not in suites.names():
        return present, {"all": present}
    known = suites.get(suite).tasks
    ordered = [task for task in known if task in present] + [task for task in present if task not in known]
    groups: dict[str, list[str]] = {}
    for task in ordered:
        groups.setdefault(known[task].group if task in known else "other", []).append(task)
    return ordered, groups


def _row_names(frame: pd.DataFrame) -> list[str]:
    """The method, and those of its options that are not at their defaults."""
    import dataclasses

    import methods

    names = []
    for record in frame.filter(like="spec.").to_dict("records"):
        method = str(record["spec.method"])
        known = methods.known(method)
        default = dataclasses.asdict(methods.config(method, {})) if known else {}
        given = {str(k).removeprefix("spec.config."): v for k, v in record.items() if str(k).startswith("spec.config.")}
        typed = {k: _restored(v, default.get(k)) for k, v in sorted(given.items()) if not _missing(v)}
        changed = [f"{k}={v}" for k, v in typed.items() if _plain(default.get(k)) != _plain(v)]
        names.append(" ".join([method, *changed]))
    return names


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _restored(value: Any, default: Any) -> Any:
    """An integer again, where a column with gaps made it a float."""
    return int(value) if isinstance(value, float) and value.is_integer() and not isinstance(default, float) else value


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _joined(frame: pd.DataFrame, prefix: str) -> list[str]:
    columns = sorted(str(column) for column in frame if str(column).startswith(prefix))
    return [json.dumps(row, default=str) for row in frame[columns].to_dict("records")]


def _recipe(run: pd.Series[Any]) -> str:
    """Every field of a recipe; one that records were given later is named only where it is off its default."""
    import dataclasses

    from benchmarks.spec import Recipe

    fields = {str(k).removeprefix("spec.recipe."): v for k, v in run.items() if str(k).startswith("spec.recipe.")}
    default = {field.name: field.default for field in dataclasses.fields(Recipe)}
    named = {name: _restored(value, default.get(name)) for name, value in fields.items() if not _missing(value)}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _spread(seeds: pd.Series[float]) -> str:
    return f"{seeds.mean():.1f} ± {seeds.std():.1f}" if len(seeds) > 1 else f"{seeds.mean():.1f}"


def _range(counts: pd.Series[Any]) -> str:
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _bytes(size: float) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
