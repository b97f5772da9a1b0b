"""The plan of a sweep (``run --dry-run``): its runs, their estimated time, and what papers report for them.

A plan trains no run, and needs neither data nor weights.
"""

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.table import Table

from benchmarks import backbones, cli, published, suites
from benchmarks.backbones.names import parse
from benchmarks.executors import driver
from benchmarks.executors.place import Place
from benchmarks.files.root import data_root
from benchmarks.records import store
from benchmarks.records.spec import Recipe, Spec
from benchmarks.sweeps import wiring
from benchmarks.sweeps.estimate import Estimates, has_weights
from benchmarks.tables.rows import names
from benchmarks.tables.table import counted

COLUMNS = ("runs", "finished", "params", "training")
Rows = Mapping[str, Sequence[Spec]]


def show(specs: Sequence[Spec], results: Path, place: Place, rate: float = 1.0) -> int:
    """Print the rows of the leaderboard that there will be, and how long the unfinished runs of each will train.

    ``rate`` says how many times as fast as here runs will train.
    """
    timed = place.device if torch.cuda.is_available() else torch.device("cpu")
    known, todo = Estimates(results, timed), [spec for spec in specs if not store.finished(results, spec)]
    with cli.progress() as bar:
        timing = bar.track(todo, description="timing a few batches of each method")
        left = {spec: known.seconds(spec) / rate for spec in timing}
    out = cli.console()
    for backbone, rows in _rows(specs).items():
        out.print(_table(backbone, rows, left))
        for label, text in ((label, _published(members)) for label, members in rows.items()):
            if text:
                out.print(f"published for {label}: {text}", soft_wrap=True, highlight=False)
    for line in _missing(specs):
        out.print(line, soft_wrap=True)
    if place.executor == "slurm":
        out.print(driver.executor("slurm").script(todo, results, place), soft_wrap=True)
    at_a_time = f"with {place.workers} at a time" if place.workers else "if only one ran at a time"
    where = f"{timed}" if rate == 1 else f"a device {rate:g} times as fast as {timed}"
    time_left = cli.duration(sum(left.values()) / (place.workers or 1))
    out.print(f"{len(specs)} runs, about {time_left} on {where} {at_a_time}; nothing was run", soft_wrap=True)
    cli.next_step("run the same command without --dry-run")
    return 0


def _table(backbone: str, rows: Rows, left: Mapping[Spec, float]) -> Table:
    """The rows of one backbone, whose methods have the same tasks and seeds."""
    first = next(iter(rows.values()))
    fresh = backbones.fresh(backbone) if has_weights(first[0]) else frozenset()
    tasks, seeds = ({getattr(spec, name) for spec in first} for name in ("task", "seed"))
    table = Table(title=f"plan on {backbone}: {counted(tasks, 'task')}, {counted(seeds, 'seed')}")
    table.add_column("method", overflow="fold")
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    for label, members in rows.items():
        todo = [left[spec] for spec in members if spec in left]
        params = wiring.trained(backbone, members[0].method, members[0].config, fresh)
        finished, training = len(members) - len(todo), cli.duration(sum(todo))
        table.add_row(label, f"{len(members)}", f"{finished}", f"{params:,}", training)
    return table


def _rows(specs: Sequence[Spec]) -> dict[str, dict[str, list[Spec]]]:
    """Group runs by backbone, and by their row of the leaderboard with the fields in which recipes differ."""
    texts = {
        "spec.method": [spec.method for spec in specs],
        "spec.config": [json.dumps(spec.to_json()["config"]) for spec in specs],
        "tuning": [json.dumps(spec.tuning) if spec.tuning else None for spec in specs],
    }
    recipes = defaultdict[str, set[Recipe]](set)
    for spec in specs:
        recipes[spec.backbone.name].add(spec.recipe)
    rows = defaultdict[str, dict[str, list[Spec]]](dict)
    for spec, name in zip(specs, names(pd.DataFrame(texts)), strict=True):
        own, others = dataclasses.asdict(spec.recipe), recipes[spec.backbone.name]
        differing = (f"{n}={value}" for n, value in own.items() if any(getattr(one, n) != value for one in others))
        rows[spec.backbone.name].setdefault(", ".join([name, *differing]), []).append(spec)
    return rows


def _published(members: Sequence[Spec]) -> str:
    """What papers report for this method and backbone on these tasks. Their options may differ from these."""
    first, tasks = members[0], {spec.task for spec in members}
    suite, groups = suites.get(first.suite), defaultdict[str, list[str]](list)
    if not suite.published:
        return ""
    for task in (task for task in suite.tasks.values() if task.name in tasks):
        groups[task.group].append(task.name)
    where = {"backbone": parse(first.backbone.name).model, "augment": first.recipe.augment}
    found = published.find(first.suite, first.method, suite.published, **where)
    return published.summary(found, groups)


def _missing(specs: Sequence[Spec]) -> list[str]:
    """One line on data and one on weights that are missing."""
    tasks = sorted({spec.task for spec in specs if spec.data_fingerprint == backbones.ABSENT})
    weights = sorted({spec.backbone.name for spec in specs if not has_weights(spec)})
    data = f"the data of {len(tasks)} tasks of suite {specs[0].suite} ({', '.join(tasks)})"
    lines = [f"missing below {data_root()}: {data}"] if tasks else []
    counted = "parameters were counted with random weights"
    return lines + ([f"missing: the weights of {', '.join(weights)}; {counted}"] if weights else [])
