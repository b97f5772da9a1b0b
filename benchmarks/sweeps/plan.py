"""What a sweep would run, for how long, and what papers report for it; trains no run and needs no data."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from benchmarks import backbones, cli, published, suites
from benchmarks.executors import schedule, slurm
from benchmarks.executors.place import Place
from benchmarks.files.root import data_root
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.training import model
from benchmarks.training.train import Trainer

SAMPLES = 2  # timed first, twice over; more only where these are quick
SLOW = 0.25  # seconds a sample
BATCHES = 2  # timed then, twice over as well
POINTS = 2048  # of a cloud that stands in for data that are not here


def show(specs: Sequence[Spec], results: Path, place: Place) -> int:
    """Print the runs of a sweep by method and backbone, what each trains and how long it will take."""
    groups: dict[tuple[str, str], list[Spec]] = {}
    for spec in specs:
        options = json.dumps({"config": dataclasses.asdict(spec.config), "recipe": dataclasses.asdict(spec.recipe)})
        groups.setdefault((f"{spec.method} on {spec.backbone.name}", options), []).append(spec)
    columns = ("method on backbone", "tasks", "seeds", "runs", "finished", "params + head", "estimated time")
    table = Table(*columns, "published", title="plan")
    known = schedule.recorded_seconds(store.each(results))
    total, timed = 0.0, place.device if torch.cuda.is_available() else torch.device("cpu")
    with cli.progress() as bar:
        for (label, _), members in bar.track(groups.items(), description="timing a few batches of each method"):
            finished = sum(store.finished(results, spec) for spec in members)
            counts = model.build(members[0], pretrained=_here(members[0])).count()
            recorded = known.get(schedule.kind(members[0]))
            a_run = _seconds_of_a_run(members[0], timed) if recorded is None else recorded
            seconds = a_run * (len(members) - finished)
            total += seconds
            sizes = [str(len({getattr(s, name) for s in members})) for name in ("task", "seed")]
            params = f"{counts['method']:,} + {counts['head']:,}"
            cells = [*sizes, str(len(members)), str(finished), params, duration(seconds), _published(members)]
            table.add_row(label, *cells)
    out = cli.console()
    out.print(table)
    for line in _missing(specs):
        out.print(line, soft_wrap=True)
    if place.executor == "slurm":
        out.print(slurm.script([s for s in specs if not store.finished(results, s)], results, place), soft_wrap=True)
    at_a_time = f"{place.workers} at a time" if place.workers else "if one at a time"
    time_left = duration(total / (place.workers or 1))
    out.print(f"{len(specs)} runs, about {time_left} on {timed}, {at_a_time}; nothing was run")
    return 0


def _seconds_of_a_run(spec: Spec, device: torch.device) -> float:
    """Training time, from a few timed samples."""
    a_sample = _seconds_a_sample(spec, device, SAMPLES)
    if a_sample < SLOW:
        a_sample = _seconds_a_sample(spec, device, spec.recipe.batch_size * BATCHES)
    task = suites.get(spec.suite).tasks[spec.task]
    samples = task.train + (task.val if spec.recipe.train_split == "trainval" else 0)
    epochs = model.build(spec, pretrained=False).method.epochs(spec.recipe.epochs)
    return a_sample * samples * epochs


def duration(seconds: float) -> str:
    """Minutes and seconds, or hours and minutes."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _seconds_a_sample(spec: Spec, device: torch.device, samples: int) -> float:
    """Of an epoch of training on so many samples; their values do not decide how long it takes."""
    x, y = _samples(spec, samples)
    changes = {"epochs": 1, "warmup_epochs": 0, "checkpoint_rule": "last", "train_split": "trainval"}
    changes["batch_size"] = min(spec.recipe.batch_size, samples)
    recipe = dataclasses.replace(spec.recipe, **changes)  # type: ignore[arg-type]
    tuned = model.build(spec, pretrained=_here(spec))
    dtype: torch.dtype = getattr(torch, spec.dtype)
    trainer = Trainer(tuned, recipe, lambda split: (x, y), seed=spec.seed, device=device, dtype=dtype)
    trainer.train()  # the first steps of a process are slower
    start = time.perf_counter()
    trainer.train()
    return (time.perf_counter() - start) / len(trainer.x)


def _samples(spec: Spec, count: int) -> tuple[Tensor, Tensor]:
    """Images are drawn at random, for to decode those of a suite takes long; clouds are where the data are not here."""
    size, y = spec.backbone.image_size, torch.arange(count) % spec.classes
    if size is not None:
        return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8), y
    if spec.data_fingerprint == backbones.ABSENT:
        return torch.rand(count, POINTS, 3), y
    x, y = suites.get(spec.suite).load(spec.task, "train", size=None)
    return x[:count], y[:count]


def _here(spec: Spec) -> bool:
    return spec.backbone.sha256 != backbones.ABSENT


def _published(members: Sequence[Spec]) -> str:
    """What papers report for these tasks, of this method on this backbone; one that has options may differ."""
    first, tasks = members[0], {spec.task for spec in members}
    suite, groups = suites.get(first.suite), dict[str, list[str]]()
    for task in suite.tasks.values():
        if task.name in tasks:
            groups.setdefault(task.group, []).append(task.name)
    if not suite.published:
        return ""
    where = {"backbone": first.backbone.name, "augment": first.recipe.augment}
    found = published.find(first.suite, first.method, suite.published, **where)
    return published.summary(found, groups)


def _missing(specs: Sequence[Spec]) -> list[str]:
    tasks = sorted({spec.task for spec in specs if spec.data_fingerprint == backbones.ABSENT})
    weights = sorted({spec.backbone.name for spec in specs if not _here(spec)})
    lines = []
    if tasks:
        suite = specs[0].suite
        lines.append(f"not below {data_root()}: the data of {len(tasks)} tasks of {suite} ({', '.join(tasks)})")
    if weights:
        lines.append(f"not here: the weights of {', '.join(weights)}; the parameters were counted without them")
    return lines
