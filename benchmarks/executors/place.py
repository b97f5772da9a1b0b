"""Where runs are executed, and which functions are called about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

from benchmarks.executors.attempt import OnEnd, OnEpoch


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where runs are executed.

    ``workers`` is the number of runs at a time; None means as many as there is room for. On a cluster one run needs
    ``cpus``, ``gpus`` and ``resources``. ``address`` is the address of a Ray cluster.
    """

    executor: Literal["local", "ray", "slurm"]
    device: torch.device
    workers: int | None
    cpus: int = 1
    gpus: float = 0
    resources: Mapping[str, str | float] = field(default_factory=dict)
    address: str | None = None


def ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Functions that a driver calls.

    ``on_epoch`` and ``on_end`` are called about the runs of this driver, ``on_wait`` and ``on_other`` about the epochs
    and the end of runs that another driver executes.
    """

    on_epoch: OnEpoch = ignore
    on_end: OnEnd = ignore
    on_wait: OnEpoch = ignore
    on_other: OnEnd = ignore
