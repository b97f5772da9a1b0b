"""Suites of tasks by name: what each task is, its data, and the recipe and backbone it is compared under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from methods.options import unknown

if TYPE_CHECKING:
    from torch import Tensor

    from methods.base import Modality

SUITES = {"offline": "benchmarks.suites.offline"}


@dataclass(frozen=True, kw_only=True)
class Task:
    """One classification task; ``train``, ``val`` and ``test`` count samples."""

    name: str
    modality: Modality
    labels: tuple[str, ...]
    group: str
    train: int
    val: int
    test: int
    source: str
    licence: str

    @property
    def classes(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks that are compared together.

    ``load(task, split)`` gives inputs and labels of "train", "val" or "test": uint8 images (N, 3, H, W) or float32
    points (N, P, 3), and int64 (N,). ``fingerprint(task)`` is a digest of all of them. ``recipes`` holds the fields of
    a Recipe that differ from its defaults, a modality each; ``backbones`` the default backbone.
    """

    name: str
    tasks: Mapping[str, Task]
    recipes: Mapping[Modality, Mapping[str, object]]
    backbones: Mapping[Modality, str]
    load: Callable[[str, str], tuple[Tensor, Tensor]]
    fingerprint: Callable[[str], str]


def names() -> list[str]:
    """Every suite there is."""
    return list(SUITES)


def get(name: str) -> Suite:
    """A suite by name.

    Raises:
        ValueError: unknown name; the message has the nearest and all known ones.
    """
    if name not in SUITES:
        raise ValueError(unknown("suite", name, SUITES))
    found: Suite = import_module(SUITES[name]).SUITE
    return found
