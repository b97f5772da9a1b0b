"""One run: a Spec becomes a Result. Every executor, on this machine or on a cluster, calls ``run``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import methods
from benchmarks import suites
from benchmarks.records import logits, store
from benchmarks.records.spec import Epoch, Result, Spec
from benchmarks.suites.kinds import CLASSIFICATION
from benchmarks.training import evaluate, measure, model, task_files
from benchmarks.training.environment import device_name, environment
from benchmarks.training.feature_cache import FeatureCache
from benchmarks.training.train import Load, Trainer
from methods.source import digest

VARYING = 64  # training samples whose operations are averaged, if the operations depend on the sample


def run(spec: Spec, results: Path, device: torch.device, on_epoch: Callable[[Epoch], None]) -> Result:
    """Train and test one model, write its task file and logits below ``results``, and return its record.

    ``on_epoch`` is called after every epoch of every stage. The test split is read once, at the end. The record tells
    the method's code in this process, which may have changed since the run was planned.
    """
    spec = replace(spec, method_digest=digest(methods.get(spec.method)))
    measure.reset_peak_memory(device)
    trainer = prepare(spec, loader(spec), device, on_epoch, store.scratch_path(results, spec), pool(spec))
    classifier = trainer.model
    cost = _train(trainer)
    report, params = _report(trainer), classifier.count()
    params["task_file_bytes"] = task_files.save(classifier, spec, store.adapter_path(results, spec))
    shown = trainer.load("train")[0][:VARYING].to(device)
    samples = shown[:2]
    cost |= _step_cost(trainer, shown if classifier.method.cost_varies else samples)
    unmerged = measure.latency_ms(classifier, samples[:1])
    trainer.model = classifier.merged(samples)
    cost["latency_ms"] = {"unmerged": unmerged, "merged": measure.latency_ms(trainer.model, samples[:1])}
    return Result(
        spec=spec,
        history=trainer.history,
        accuracy=_tested(trainer, spec, results),
        params=params,
        cost=cost,
        environment=environment() | {"device": device_name(device), "dtype": spec.dtype},
        report=report,
    )


def loader(spec: Spec) -> Load:
    """The function that loads a split of the run's task framed for the backbone."""
    return partial(suites.get(spec.suite).of_seed(spec.seed).load, spec.task, frame=spec.backbone.frame)


def task(spec: Spec) -> suites.Task:
    """The task of a run."""
    return suites.get(spec.suite).tasks[spec.task]


def pool(spec: Spec) -> Load | None:
    """The function that loads clouds with all their points, if the suite has one."""
    found = suites.get(spec.suite).of_seed(spec.seed).pool
    return None if found is None else partial(found, spec.task, frame=None)


def prepare(
    spec: Spec,
    load: Load,
    device: torch.device,
    on_epoch: Callable[[Epoch], None],
    scratch: Path | None = None,
    pool: Load | None = None,
) -> Trainer:
    """Seed torch, build the untrained model of a spec, and return its trainer."""
    torch.manual_seed(spec.seed)
    return Trainer(
        model.build(spec),
        spec.recipe,
        load,
        seed=spec.seed,
        device=device,
        dtype=getattr(torch, spec.dtype),
        on_epoch=on_epoch,
        scratch=scratch,
        cache=FeatureCache(spec, device),
        pool=pool,
    )


def _report(trainer: Trainer) -> dict[str, Any]:
    """What the method says about itself, and what was resampled to fit the backbone."""
    resampled = list(getattr(trainer.model.backbone, "resampled", ()))
    return trainer.model.method.report(trainer) | ({"resampled": resampled} if resampled else {})


def _train(trainer: Trainer) -> dict[str, Any]:
    """Train; returns seconds and peak memory.

    Both include what earlier executions of an interrupted run did for the stages that it kept, and computing features,
    even if they came from the cache.
    """
    start = time.perf_counter()
    trainer.model.method.fit(trainer)
    seconds = time.perf_counter() - start + trainer.outcomes.seconds
    peak_memory_bytes = trainer.outcomes.peak(measure.peak_memory_bytes(trainer.device))
    if trainer.cache is not None:
        seconds += trainer.cache.seconds_saved
        peak_memory_bytes = max(peak_memory_bytes, trainer.cache.peak_memory_bytes)
    return {"train_seconds": seconds, "peak_memory_bytes": peak_memory_bytes}


def _step_cost(trainer: Trainer, samples: Tensor) -> dict[str, Any]:
    """Step times and operations of the trained model before it is merged."""
    step_ms, batch = trainer.clock.step_ms(), min(len(trainer.x), trainer.recipe.batch_size)
    forward = measure.forward_flops(trainer.model, samples)
    training = measure.training_flops(trainer.model, trainer.x[:2], trainer.y[:2], trainer.batch_loss)
    return {
        "step_ms": step_ms,
        "images_per_second": batch / sum(step_ms.values()) * 1e3,
        "flops_per_image": {"forward": forward, "training": training},
    }


def _tested(trainer: Trainer, spec: Spec, results: Path) -> dict[str, Any]:
    """The numbers of the model. Its logits on the first test set are kept, if there is one class per sample."""
    tests, suite = task(spec).tests, suites.get(spec.suite).of_seed(spec.seed)
    if spec.kind != CLASSIFICATION.name:
        return _accuracy(trainer, tests)
    truth = trainer.load(tests[0])[1]
    highest = evaluate.Highest(logits.kept(len(truth), spec.classes))
    accuracy = _accuracy(trainer, tests, highest.add)
    files = suite.files(spec.task, tests[0]) if suite.files else []
    labels = spec.labels or tuple(map(str, range(spec.classes)))
    logits.write(logits.path_of(results, spec.stem), highest.parts, truth, files=files, labels=labels)
    return accuracy


def _accuracy(
    trainer: Trainer, tests: Sequence[str], see: Callable[[Tensor], None] = lambda logits: None
) -> dict[str, Any]:
    """The numbers of the model, merged where that is exact: on val if val was held out, then once on every test set.

    The first test set gives the number of the task. All else that it says is told by name: the metric if it is not
    accuracy, its further metrics, and the numbers of the other test sets.
    """
    held_out, metric, (first, *more) = trainer.recipe.train_split == "train", trainer.model.kind.metric, tests
    val = trainer.validate() if held_out else None
    numbers = trainer.scores(first, see)
    found = {
        "val": val,
        "test": numbers.pop(metric),
        "test_samples": len(trainer.load(first)[1]),
        "checkpoint_rule": trainer.recipe.checkpoint_rule,
        "epoch": trainer.accuracy_epoch,
    }
    others = numbers | {name: trainer.scores(name)[metric] for name in more}
    named = {} if metric == CLASSIFICATION.metric else {"metric": metric}
    return found | named | ({"others": others} if others else {})
