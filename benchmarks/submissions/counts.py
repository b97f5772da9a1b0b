"""The parameters of a run, counted on a fresh wiring of its method. No weights are needed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch

import methods
from benchmarks.backbones.names import parse
from benchmarks.records.spec import Spec
from benchmarks.training import model
from methods.base import Method


def compared(spec: Spec, record: Mapping[str, Any]) -> tuple[list[str], str]:
    """How the counts of a record differ from those of a fresh wiring, and what of that wiring it does not tell.

    A method whose stages decide what trains is wired as the report of the record tells.

    Raises:
        UserError: the method cannot be wired onto the backbone, or none of its runs has such a report.
    """
    settled = methods.get(spec.method).settle is not Method.settle
    counted, untold = _count(_alike(spec), json.dumps(record["report"]) if settled else "{}")
    params = record["params"]
    wrong = [f"{name} {params[name]:,}, counted {count:,}" for name, count in counted.items() if params[name] != count]
    return [f"params: {'; '.join(wrong)}"] * bool(wrong), f"{spec.method}: {untold}" if untold else ""


def _alike(spec: Spec) -> Spec:
    """One spec for all runs with equal counts, as far as this spares work: those of all seeds."""
    plain = replace(spec.backbone, name=parse(spec.backbone.name).plain)
    return replace(spec, seed=0, data_fingerprint="", backbone=plain, labels=None)


@cache
def _count(spec: Spec, report: str) -> tuple[dict[str, int], str]:
    bridged = spec.method.startswith(methods.BRIDGE)  # tuners of Hugging Face PEFT may compute with the weights' values
    with torch.random.fork_rng([]), torch.device("cpu" if bridged else "meta"):
        wired = model.build(spec, pretrained=False)
        untold = wired.method.settle(json.loads(report))
        return wired.count(), untold
