"""The plan of a sweep (``run --dry-run``): its runs, their estimated time, and what papers report for them.

A plan trains no run, and needs neither data nor weights.
"""

import dataclasses
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.table import Table
from torch import Tensor

from benchmarks import backbones, cli, published, suites
from benchmarks.backbones.names import parse
from benchmarks.executors import driver, schedule
from benchmarks.executors.place import Place
from benchmarks.files.root import data_root
from benchmarks.records import store
from benchmarks.records.spec import Spec
from benchmarks.training import memory, model
from benchmarks.training.train import Trainer
from methods.errors import check

SAMPLES = 2  # training samples of the first measurement
SLOW = 0.25  # seconds per sample; below this, the measurement is repeated on more samples
BATCHES = 2  # training batches of the second measurement
POINTS = 2048  # points per random cloud, which is used if the data are missing


def show(specs: Sequence[Spec], results: Path, place: Place) -> int:
    """Print one row per method, backbone and set of options, and the time that the unfinished runs will take."""
    groups = defaultdict[tuple[str, str], list[Spec]](list)
    for spec in specs:
        options = json.dumps({"config": dataclasses.asdict(spec.config), "recipe": dataclasses.asdict(spec.recipe)})
        groups[f"{spec.method} on {spec.backbone.name}", options].append(spec)
    columns = ("method on backbone", "tasks", "seeds", "runs", "finished", "parameters + head", "estimated time")
    table = Table(*columns, "published", title="plan")
    known = schedule.recorded_seconds(store.each(results))
    total, timed = 0.0, place.device if torch.cuda.is_available() else torch.device("cpu")
    with cli.progress() as bar:
        for (label, _), members in bar.track(groups.items(), description="timing a few batches of each method"):
            finished = sum(store.finished(results, spec) for spec in members)
            counts = model.build(members[0], pretrained=_has_weights(members[0])).count()
            recorded = known.get(schedule.kind(members[0]))
            per_run = _seconds_per_run(members[0], timed) if recorded is None else recorded
            seconds = per_run * (len(members) - finished)
            total += seconds
            sizes = [str(len({getattr(s, name) for s in members})) for name in ("task", "seed")]
            params = f"{counts['method']:,} + {counts['head']:,}"
            cells = [*sizes, str(len(members)), str(finished), params, cli.duration(seconds), _published(members)]
            table.add_row(label, *cells)
    out = cli.console()
    out.print(table)
    for line in _missing(specs):
        out.print(line, soft_wrap=True)
    if place.executor == "slurm":
        todo = [spec for spec in specs if not store.finished(results, spec)]
        out.print(driver.executor("slurm").script(todo, results, place), soft_wrap=True)
    at_a_time = f"with {place.workers} at a time" if place.workers else "if only one ran at a time"
    time_left = cli.duration(total / (place.workers or 1))
    out.print(f"{len(specs)} runs, about {time_left} on {timed} {at_a_time}; nothing was run")
    return 0


def _seconds_per_run(spec: Spec, device: torch.device) -> float:
    """The training time of a run, estimated from a few samples.

    Raises:
        UserError: memory ran out.
    """
    task = suites.get(spec.suite).tasks[spec.task]
    samples = task.train + (task.val if spec.recipe.train_split == "trainval" else 0)
    try:
        per_sample = _seconds_per_sample(spec, device, SAMPLES)
        if per_sample < SLOW:
            per_sample = _seconds_per_sample(spec, device, min(spec.recipe.batch_size * BATCHES, max(SAMPLES, samples)))
    except (RuntimeError, MemoryError) as error:
        check(not memory.ran_out(error), f"{spec}: {memory.told(error)}; give a smaller batch_size or smaller options")
        raise
    return per_sample * samples * model.build(spec, pretrained=False).method.epochs(spec.recipe.epochs)


def _seconds_per_sample(spec: Spec, device: torch.device, samples: int) -> float:
    """The time per sample in an epoch of training on ``samples`` samples, whose values do not change it."""
    x, y = _samples(spec, samples)
    changes = {"epochs": 1, "warmup_epochs": 0, "checkpoint_rule": "last", "train_split": "trainval"}
    changes["batch_size"] = min(spec.recipe.batch_size, samples)
    recipe = dataclasses.replace(spec.recipe, **changes)  # type: ignore[arg-type]
    tuned = model.build(spec, pretrained=_has_weights(spec))
    dtype: torch.dtype = getattr(torch, spec.dtype)
    trainer = Trainer(tuned, recipe, lambda split: (x, y), seed=spec.seed, device=device, dtype=dtype)
    trainer.train()  # not timed: the first steps of a process are slower
    start = time.perf_counter()
    trainer.train()
    return (time.perf_counter() - start) / len(trainer.x)


def _samples(spec: Spec, count: int) -> tuple[Tensor, Tensor]:
    """Random images, because decoding takes long; clouds of the suite, or random clouds if its data are missing."""
    size, y = spec.backbone.image_size, torch.arange(count) % spec.classes
    if size is not None:
        return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8), y
    if spec.data_fingerprint == backbones.ABSENT:
        per_point = suites.get(spec.suite).tasks[spec.task].kind.per_point  # the fourth number, a category, is then 0
        return torch.rand(count, POINTS, 3 + per_point), torch.zeros(count, POINTS).long() if per_point else y
    x, y = suites.get(spec.suite).of_seed(spec.seed).load(spec.task, "train", frame=None)
    return x[:count], y[:count]


def _has_weights(spec: Spec) -> bool:
    return spec.backbone.sha256 != backbones.ABSENT


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
    weights = sorted({spec.backbone.name for spec in specs if not _has_weights(spec)})
    data = f"the data of {len(tasks)} tasks of suite {specs[0].suite} ({', '.join(tasks)})"
    lines = [f"missing below {data_root()}: {data}"] if tasks else []
    counted = "parameters were counted with random weights"
    return lines + ([f"missing: the weights of {', '.join(weights)}; {counted}"] if weights else [])
