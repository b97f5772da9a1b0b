"""Suites of tasks by name: what each task is, its data, and the recipe and backbone it is compared under."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from benchmarks.files.root import data_root
from methods.errors import unknown

if TYPE_CHECKING:
    from torch import Tensor

    from benchmarks.records.spec import Spec
    from methods.base import Modality

FOLDER = "folder"  # made of what lies below the data root, whose name it takes
SUITES = {
    "offline": "benchmarks.suites.offline",
    "vtab1k": "benchmarks.suites.vtab1k",
    "scanobjectnn": "benchmarks.suites.scanobjectnn",
    "modelnet40": "benchmarks.suites.modelnet40",
    FOLDER: "benchmarks.suites.folder",
}


class Load(Protocol):
    """How a suite hands out data.

    ``split`` is "train", "val" or "test". Images are uint8 (N, 3, H, W), of ``size`` pixels where a suite decodes
    files; those that a suite draws keep their own. Points are float32 (N, P, 3); labels int64 (N,). Tensors may be
    mapped from files: read them in parts.
    """

    def __call__(self, task: str, split: str, *, size: int | None) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, kw_only=True)
class Task:
    """One classification task; ``train``, ``val`` and ``test`` count samples, ``lacking`` those of ``train`` that one
    published copy of the data lacks.
    """

    name: str
    modality: Modality
    labels: tuple[str, ...]
    group: str
    train: int
    val: int
    test: int
    source: str
    licence: str
    lacking: int = 0

    @property
    def classes(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks that are compared together.

    ``fingerprint(task)`` is a digest of all samples and labels, and raises Missing where there are no data;
    ``recipes`` holds the fields of a Recipe that differ from its defaults, a modality each; ``backbones`` the default
    backbone. ``faults(task)`` says what is wrong with a task's files, for a suite that reads files.
    """

    name: str
    tasks: Mapping[str, Task]
    recipes: Mapping[Modality, Mapping[str, object]]
    backbones: Mapping[Modality, str]
    load: Load
    fingerprint: Callable[[str], str]
    faults: Callable[[str], list[str]] | None = None


def names() -> list[str]:
    """Every suite there is."""
    return list(SUITES)


def get(name: str) -> Suite:
    """A suite by name.

    Raises:
        ValueError: unknown name; the message has the nearest and all known ones.
    """
    root = data_root()
    if name == FOLDER or (name not in SUITES and name == root.name):
        from benchmarks.suites import folder

        return folder.suite(root)
    if name not in SUITES:
        raise ValueError(f"{unknown('suite', name, SUITES)}; one of your own goes by its folder: --data-root DIR")
    found: Suite = import_module(SUITES[name]).SUITE
    return found


def listed() -> tuple[list[Suite], str | None]:
    """Every suite there is, and why there is none of the data root, if so."""
    built_in = [get(name) for name in names() if name != FOLDER]
    try:
        return [*built_in, get(FOLDER)], None
    except ValueError as error:
        return built_in, f"suite {FOLDER}: {error}"


def decode(specs: Sequence[Spec], splits: Sequence[str]) -> None:
    """Have suites decode their files before any run, so that damage is told first and no run waits for another's."""
    loads = {name: get(name).load for name in {spec.suite for spec in specs}}
    for suite, task, size in dict.fromkeys((spec.suite, spec.task, spec.backbone.image_size) for spec in specs):
        for split in splits:
            loads[suite](task, split, size=size)
