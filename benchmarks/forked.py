"""Worker processes, forked from one that has imported torch for all of them, beside the process that asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import forkserver, get_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

CONTEXT = get_context("forkserver")
IMPORTED = ["benchmarks.executors.local", "benchmarks.backbones.images", "benchmarks.backbones.points"]


def ahead() -> None:
    """Begin the process from which workers are forked, before they are needed; it ends with this one."""
    CONTEXT.set_forkserver_preload(IMPORTED)
    forkserver.ensure_running()


def process(serve: Callable[..., None], *args: Any) -> ForkServerProcess:
    """A process that does ``serve(*args)`` once it is started, and dies with this one at the latest."""
    ahead()
    return CONTEXT.Process(target=_serve, args=(dict(os.environ), serve, *args), daemon=True)


def _serve(environ: dict[str, str], serve: Callable[..., None], *args: Any) -> None:
    os.environ.clear()  # that of the process it was forked from may be older
    os.environ.update(environ)
    serve(*args)
