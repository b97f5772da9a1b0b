"""Tables of what runs and architecture searches cost."""

import json
import math
from collections.abc import Callable

import pandas as pd

from benchmarks.tables.table import Table, notes, nothing_best


def _two(value: float) -> str:
    return f"{value:,.2f}" if value < 10 else f"{value:,.1f}"


def _bytes(size: float) -> str:
    """Write 1,234,567 as "1.23 MB"."""
    if size < 1e6:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e6:.2f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def _count(count: float) -> str:
    """Write 1,234,567 as "1.23 M", with three digits."""
    count = float(f"{count:.3g}")  # before the unit is chosen: 999.7 million are 1 G
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f}"


COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {  # name -> field of a run, text
    "file": ("params.task_file_bytes", _bytes),
    "forward FLOPs": ("cost.flops_per_image.forward", _count),
    "training FLOPs": ("cost.flops_per_image.training", _count),
    "peak memory": ("cost.peak_memory_bytes", _bytes),
    "forward ms": ("cost.step_ms.forward", _two),
    "backward ms": ("cost.step_ms.backward", _two),
    "optimizer ms": ("cost.step_ms.optimizer", _two),
    "samples/s": ("cost.images_per_second", "{:,.0f}".format),
    "latency ms": ("cost.latency_ms.unmerged", _two),
    "merged latency ms": ("cost.latency_ms.merged", _two),
    "seconds": ("cost.train_seconds", "{:,.1f}".format),
}


def costs(frame: pd.DataFrame) -> list[Table]:
    """Make one table per device of what a group of comparable runs cost, with one row per method.

    Costs on different devices are not compared. A cost that no record has gets no column.
    """
    if "environment.device" not in frame:
        return []
    return [_costs(runs, str(device)) for device, runs in frame.groupby("environment.device")]


def _costs(frame: pd.DataFrame, device: str) -> Table:
    known = {name: (column, text) for name, (column, text) in COLUMNS.items() if column in frame}
    medians = frame.groupby("row")[[column for column, _ in known.values()]].median()
    cells = pd.DataFrame(
        {
            name: ["-" if math.isnan(value) else text(value) for value in medians[column]]
            for name, (column, text) in known.items()
        },
        index=pd.Index(medians.index, name="method"),
    )
    cells.insert(0, "runs", frame.groupby("row").size().map(str))
    first = frame.iloc[0]
    title = f"{first['suite']}: what runs cost, {first['spec.backbone.modality']}, {first['spec.backbone.name']}"
    threads = sorted(frame["environment.threads"].unique()) if "environment.threads" in frame else []
    spread = f", threads {', '.join(map(str, threads))}" if threads else ""
    about = notes("costs", measured=f"on {device}{spread}, {first['spec.dtype']}")
    return Table(title, about, cells, nothing_best(cells), costs=True)


def searches(frame: pd.DataFrame) -> list[Table]:
    """Make the table of what architecture searches cost, one row per method and task.

    The list is empty if no run has searched.
    """
    found = spent(frame)
    return [] if found.empty else [_searches(frame.loc[found.index], found)]


def spent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what the search of each run that has searched cost and found; empty if none has."""
    reports = {place: json.loads(text) for place, text in frame["report"].dropna().items()}
    reports = {place: report for place, report in reports.items() if "search" in report}
    if not reports:
        return pd.DataFrame()
    runs, reported = frame.loc[list(reports)], pd.json_normalize(list(reports.values())).set_index(pd.Index(reports))
    columns = {
        "supernet steps": reported["supernet.steps"],
        "supernet seconds": reported["supernet.seconds"],
        "subnets judged": reported["search.subnets"],
        "search seconds": reported["search.seconds"],
        "% of training": 100 * (reported["supernet.seconds"] + reported["search.seconds"]) / runs["cost.train_seconds"],
        "params found": reported["search.params"],
        "best on val": 100 * reported["search.val_accuracy"],
    }
    return pd.DataFrame(columns)


def _searches(runs: pd.DataFrame, spent: pd.DataFrame) -> Table:
    method = runs["row"].str.split().str[0]
    several = runs["row"].groupby(method).transform("nunique") > 1  # rows of a method, of which some may be submitted
    keys = [runs["row"].where(several, method), runs["spec.task"]]
    means = spent.groupby(keys).mean()
    cells = means.map("{:,.0f}".format)
    cells["best on val"] = means["best on val"].map("{:.1f}".format)
    cells.insert(0, "seeds", runs.groupby(keys).size().map(str))
    cells.index = pd.Index([f"{method} on {task}" for method, task in cells.index], name="search")
    first = runs.iloc[0]
    title = f"{first['suite']}: what searches cost, {first['spec.backbone.modality']}"
    return Table(title, notes("searches"), cells, nothing_best(cells), costs=True)
