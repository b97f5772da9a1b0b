"""The parameters of a run, counted on a fresh wiring of its method. No weights are needed."""

from dataclasses import replace
from functools import cache
from typing import Any

import torch

import methods
from benchmarks.backbones.names import parse
from benchmarks.records.spec import Spec
from benchmarks.training import model
from methods.base import Method

FIXED = ("head", "backbone")  # of every method; what trains may change in a method that trains in stages of its own


def fault(spec: Spec, params: dict[str, Any]) -> str:
    """How the counts of a record differ from those of a fresh wiring; empty if they do not.

    Raises:
        UserError: the method cannot be wired onto the backbone.
    """
    staged = methods.get(spec.method).fit is not Method.fit
    counted = {name: count for name, count in _count(_alike(spec)).items() if name in FIXED or not staged}
    wrong = [f"{name} {params[name]:,}, counted {count:,}" for name, count in counted.items() if params[name] != count]
    return f"params: {'; '.join(wrong)}" if wrong else ""


def _alike(spec: Spec) -> Spec:
    """One spec for all runs with equal counts, as far as this spares work: those of all seeds."""
    plain = replace(spec.backbone, name=parse(spec.backbone.name).plain)
    return replace(spec, seed=0, data_fingerprint="", backbone=plain, labels=None)


@cache
def _count(spec: Spec) -> dict[str, int]:
    bridged = spec.method.startswith(methods.BRIDGE)  # tuners of Hugging Face PEFT may compute with the weights' values
    with torch.random.fork_rng([]), torch.device("cpu" if bridged else "meta"):
        return model.build(spec, pretrained=False).count()
