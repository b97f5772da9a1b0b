"""What there is (--list) and what would happen (--dry-run), as tables."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from rich.table import Table

import methods
from benchmarks import backbones, cli, model, store, suites
from benchmarks.backbones.points import PUBLISHED
from benchmarks.spec import Recipe, Spec
from benchmarks.train import Trainer
from methods.base import Backbone

BATCHES = 2  # timed to estimate a run that has no record to go by


def show_list() -> int:
    """Print methods with their modalities, paper and parameter counts, suites with their tasks, and backbones."""
    out = cli.console()
    embedded = {name: backbones.build(name) for name in backbones.EMBEDDED}
    columns = ("method", "modalities", "what and where it is from")
    table = Table(*columns, *[f"params on {name}" for name in embedded], title="methods")
    for name in methods.table():
        counts = [_method_count(name, backbone_name) for backbone_name in embedded]
        table.add_row(name, ", ".join(sorted(methods.get(name).modalities)), _headline(name), *counts)
    # not by name: to ask Hugging Face PEFT takes seconds
    bridged = "any tuner of Hugging Face PEFT, as hf:lora or hf:vera; needs the extra hf"
    table.add_row(f"{methods.BRIDGE}TYPE", "image, points", bridged)
    out.print(table)
    for suite in map(suites.get, suites.names()):
        table = Table(
            "task", "modality", "group", "classes", "train", "val", "test", "source", title=f"suite {suite.name}"
        )
        for name, task in suite.tasks.items():
            counts = [str(n) for n in (task.classes, task.train, task.val, task.test)]
            table.add_row(name, task.modality, task.group, *counts, task.source)
        out.print(table)
    table = Table("backbone", "modality", "parameters", title="backbones")
    for name, backbone in embedded.items():
        table.add_row(name, backbones.EMBEDDED[name], f"{sum(p.numel() for p in backbone.parameters()):,}")
    table.add_row("any timm VisionTransformer, as NAME or NAME@FILE", "image", "")
    table.add_row(f"{', '.join(PUBLISHED)}, as NAME@FILE or NAME_1k@FILE", "points", "")
    out.print(table)
    return 0


def show_plan(specs: Sequence[Spec], results: Path, device: torch.device, workers: int) -> int:
    """Print the runs of a sweep by method and backbone, what each trains and how long it will take; trains nothing."""
    groups: dict[tuple[str, str], list[Spec]] = {}
    for spec in specs:
        options = json.dumps({"config": dataclasses.asdict(spec.config), "recipe": dataclasses.asdict(spec.recipe)})
        groups.setdefault((f"{spec.method} on {spec.backbone.name}", options), []).append(spec)
    table = Table(
        "method on backbone", "tasks", "seeds", "runs", "finished", "params + head", "estimated time", title="plan"
    )
    total = 0.0
    for (label, _), members in groups.items():
        open_runs = [spec for spec in members if not store.finished(results, spec)]
        counts = model.build(members[0]).count()
        seconds = _estimate_seconds(members[0], results, device) * len(open_runs)
        total += seconds
        sizes = [str(len({getattr(s, name) for s in members})) for name in ("task", "seed")]
        params = f"{counts['method']:,} + {counts['head']:,}"
        table.add_row(label, *sizes, str(len(members)), str(len(members) - len(open_runs)), params, _duration(seconds))
    out = cli.console()
    out.print(table)
    out.print(
        f"{len(specs)} runs, about {_duration(total / workers)} on {device}, {workers} at a time; nothing was run"
    )
    return 0


def _estimate_seconds(spec: Spec, results: Path, device: torch.device) -> float:
    """Training time of one run: the median of records of its kind, or a few timed batches."""
    known = [
        record["cost"]["train_seconds"]
        for record in store.records(results)
        if record["spec"]["method"] == spec.method
        and record["spec"]["backbone"]["name"] == spec.backbone.name
        and Recipe(**record["spec"]["recipe"]) == spec.recipe
    ]
    if known:
        return float(statistics.median(known))
    task = suites.get(spec.suite).tasks[spec.task]
    load = partial(suites.get(spec.suite).load, spec.task, size=spec.backbone.image_size)
    few = spec.recipe.batch_size * BATCHES
    recipe = dataclasses.replace(spec.recipe, epochs=1, warmup_epochs=0, checkpoint_rule="last", train_split="train")
    trainer = Trainer(
        model.build(spec),
        recipe,
        lambda split: (load(split)[0][:few], load(split)[1][:few]),
        seed=spec.seed,
        device=device,
        dtype=getattr(torch, spec.dtype),
    )
    start = time.perf_counter()
    trainer.model.method.fit(trainer)
    samples = task.train + (task.val if spec.recipe.train_split == "trainval" else 0)
    return (time.perf_counter() - start) * spec.recipe.epochs * samples / len(trainer.x)


def _method_count(name: str, backbone_name: str) -> str:
    cls = methods.get(name)
    if backbones.EMBEDDED[backbone_name] not in cls.modalities:
        return "-"
    backbone = backbones.build(backbone_name)
    method = methods.build(name, cast(Backbone, backbone), cls.Config())
    trained = [*method.parameters(), *backbone.parameters()]
    return f"{sum(p.numel() for p in trained if p.requires_grad):,}"


def _headline(name: str) -> str:
    from importlib import import_module

    text = (methods.get(name).__doc__ or import_module(methods.get(name).__module__).__doc__ or "").strip()
    return text.splitlines()[0] if text else ""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"
