"""The harness. Documents import three functions from here: ``load_images``, ``load_model`` and ``load_records``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.files.pictures import load as load_images
    from benchmarks.tables.reader import load as load_records
    from benchmarks.training.task_files import load as load_model

__version__ = "0.1.0"
__all__ = ["load_images", "load_model", "load_records"]
PLACES = {
    "load_images": "benchmarks.files.pictures",
    "load_model": "benchmarks.training.task_files",
    "load_records": "benchmarks.tables.reader",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is first used: torch and pandas take seconds, and ``--help`` needs neither."""
    if name not in PLACES:
        raise AttributeError(f"module 'benchmarks' has no attribute '{name}'")
    return import_module(PLACES[name]).load
