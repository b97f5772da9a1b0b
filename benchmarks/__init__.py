"""The harness. Documents import two functions from here: ``load_model`` and ``load_records``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.tables.reader import load as load_records
    from benchmarks.training.model import load as load_model

__all__ = ["load_model", "load_records"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used: torch and pandas take seconds, and ``--help`` needs neither."""
    if name == "load_model":
        from benchmarks.training.model import load

        return load
    if name == "load_records":
        from benchmarks.tables.reader import load as load_records

        return load_records
    raise AttributeError(f"module 'benchmarks' has no attribute '{name}'")
