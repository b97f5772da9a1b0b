"""The harness. Documents import two functions from here: ``load_model`` and ``load_records``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.tables.reader import load as load_records
    from benchmarks.training.model import load as load_model

__all__ = ["load_model", "load_records"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used: torch and pandas take seconds, and ``--help`` needs neither."""
    places = {"load_model": "benchmarks.training.model", "load_records": "benchmarks.tables.reader"}
    if name not in places:
        raise AttributeError(f"module 'benchmarks' has no attribute '{name}'")
    return import_module(places[name]).load
