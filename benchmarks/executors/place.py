"""Where runs happen, and who hears of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from benchmarks.executors.attempt import OnEnd, OnEpoch

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs happen, so many at a time (``workers``, None for as many as there is room for).

    ``cpus``, ``gpus`` and ``resources`` are a run's share of a cluster; ``address`` is that of Ray's.
    """

    executor: Literal["local", "ray", "slurm"]
    device: torch.device
    workers: int | None
    cpus: int = 1
    gpus: float = 0
    resources: Mapping[str, str | float] = field(default_factory=dict)
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who hears of runs: of the epochs and the end of this driver's, and of what is seen of those of others."""

    on_epoch: OnEpoch
    on_end: OnEnd
    on_wait: OnEpoch
    on_other: OnEnd
